"""What stands for UIDs, patients and dates that must not be known.

All of it is derived with HMAC-SHA-256 from a key: with the same key the same patient, study and
references come out the same, today and next year, and without the key nothing leads back.
"""

from __future__ import annotations

import base64
import datetime
import hmac
import re
import secrets
from functools import lru_cache

from pydicom.uid import UID

from MedWatermarkLib.stamp import uid_of

# Of UIDs that the standard itself assigns; they name classes and syntaxes (PS3.6 Annex A).
_STANDARD_ROOT = "1.2.840.10008."
_DATE = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)")
_TIME = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(?:\.(\d{1,6}))?)?)?")
# Days that dates are moved back by at least, and over how many more that is spread.
_LEAST_DAYS, _SPREAD_DAYS = 30, 3650
# Seconds: little enough that hardly a scan is moved across midnight, where a tracer's decay is
# computed from times without dates.
_LEAST_SECONDS, _SPREAD_SECONDS = 60, 1740


class Pseudonyms:
    """Stand-ins made with one key.

    Parameters
    ----------
    key : bytes, optional
        A secret; by default one is made up, which nobody can repeat.
    """

    def __init__(self, key: bytes = b"") -> None:
        self._key = key or secrets.token_bytes(32)

    def uid(self, uid: str) -> str:
        """Return what stands for a UID; those that the standard assigns stand for themselves."""
        uid = uid.strip(" \0")
        if not uid or (uid.startswith(_STANDARD_ROOT) and UID(uid).name != uid):
            return uid
        return uid_of(self._mac("UID", uid))

    def patient(self, patient: str) -> str:
        """Return the pseudonym of a patient, 16 characters."""
        return "P-" + base64.b32encode(self._mac("patient", patient)).decode("ascii")[:14]

    def date(self, value: str, time: str, patient: str) -> str:
        """Return a date (DA) moved by the time that belongs to a patient; "" if it is none.

        Parameters
        ----------
        value : str
        time : str
            The time of the same moment (TM), or "".
        patient : str
            Whose dates are moved alike.
        """
        date = _as_date(value)
        if date is None:
            return ""
        days, seconds = self._shift(patient)
        clock = _as_time(time)
        if clock is None:
            return _moved(datetime.datetime.combine(date, datetime.time()), days, 0)[:8]
        return _moved(datetime.datetime.combine(date, clock), days, seconds)[:8]

    def time(self, value: str, patient: str) -> str:
        """Return a time of day (TM) moved by the time that belongs to a patient; "" if none."""
        clock = _as_time(value)
        if clock is None:
            return ""
        moment = datetime.datetime.combine(datetime.date(2000, 1, 2), clock)
        moved = _moved(moment, 0, self._shift(patient)[1])[8:]
        return moved if "." in value else moved[:6]

    def date_time(self, value: str, patient: str) -> str:
        """Return a moment (DT) moved, without its zone, which tells where it was; "" if none."""
        value = re.split("[+&-]", value.strip())[0]
        date, clock = _as_date(value[:8]), _as_time(value[8:])
        if date is None:
            return ""
        days, seconds = self._shift(patient)
        if clock is None:
            return _moved(datetime.datetime.combine(date, datetime.time()), days, 0)[:8]
        moved = _moved(datetime.datetime.combine(date, clock), days, seconds)
        return moved if "." in value else moved[:14]

    @lru_cache(maxsize=64)  # noqa: B019 - a handful of patients, for as long as a command
    def _shift(self, patient: str) -> tuple[int, float]:
        mac = self._mac("dates", patient)
        days = _LEAST_DAYS + int.from_bytes(mac[:4]) % _SPREAD_DAYS
        # Fractions too: the milliseconds of a day are as good as a name.
        seconds = _LEAST_SECONDS + int.from_bytes(mac[4:8]) % _SPREAD_SECONDS
        fraction = int.from_bytes(mac[9:12]) % 1_000_000 / 1e6
        return -days, -(seconds + fraction) if mac[8] & 1 else seconds + fraction

    def _mac(self, purpose: str, value: str) -> bytes:
        return hmac.digest(self._key, f"{purpose}\0{value}".encode("utf-8", "replace"), "sha256")


def _moved(moment: datetime.datetime, days: int, seconds: float) -> str:
    try:
        moment += datetime.timedelta(days=days, seconds=seconds)
    except OverflowError:
        return ""
    # strftime does not fill years below 1000 with zeros everywhere.
    return f"{moment.year:04d}{moment:%m%d%H%M%S.%f}"


def _as_date(value: str) -> datetime.date | None:
    match = _DATE.fullmatch(value.strip(" \0"))
    try:
        return None if match is None else datetime.date(*map(int, match.groups()))
    except ValueError:
        return None


def _as_time(value: str) -> datetime.time | None:
    match = _TIME.fullmatch(value.strip(" \0"))
    if match is None:
        return None
    hours, minutes, seconds, fraction = match.groups()
    try:
        # A leap second has no place in Python's clock.
        return datetime.time(
            int(hours),
            int(minutes or 0),
            min(int(seconds or 0), 59),
            int((fraction or "0").ljust(6, "0")),
        )
    except ValueError:
        return None
