"""An archive that speaks DICOMweb (PS3.18): what it has, and to get from it and give to it.

Who asks is told by a token in the environment, or by the user and password that ``netrc`` has for
the server; never in a URL, which ends in logs.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from dicomweb_client import DICOMwebClient
from pydicom import Dataset, dcmwrite

from MedWatermarkLib.dicom_series import discreet_pydicom
from MedWatermarkLib.output import new_files
from MedWatermarkLib.pacs import (
    NotInPacsError,
    PacsAccessError,
    PacsAddressError,
    PacsAnswerError,
    PacsError,
    PacsRefusedError,
    PacsUnreachableError,
    is_uid,
    read_to_send,
)
from MedWatermarkLib.progress import Progress
from MedWatermarkLib.store_errors import without_secrets

TOKEN_VARIABLE = "MEDWATERMARK_PACS_TOKEN"
TIMEOUT = 60.0
"""Seconds after which an archive is taken for silent."""

_PAGE = 500
# Bytes of images in one request, about: some servers take no more than 100 MB.
_BATCH_BYTES = 32 << 20
_FIELDS = [
    "StudyDate",
    "Modality",
    "SeriesNumber",
    "NumberOfSeriesRelatedInstances",
]
# They log URLs, in which a search for a patient stands, and what servers say.
for _name in ("dicomweb_client", "retrying"):
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False


@dataclass(frozen=True)
class ArchivedSeries:
    """A series of an archive.

    Attributes
    ----------
    uid, study : str
        Series Instance UID, and that of its study.
    modality : str
        Or "".
    date : str
        Study Date, YYYYMMDD, or "".
    number : int or None
        Series Number.
    images : int or None
        How many instances it has, where the archive tells.
    """

    uid: str
    study: str
    modality: str = ""
    date: str = ""
    number: int | None = None
    images: int | None = None


class DicomWeb:
    """An archive.

    Parameters
    ----------
    url : str
        Of its DICOMweb services, such as ``https://pacs.example/dicom-web``.
    timeout : float
        Seconds after which it is taken for silent; transfers may take longer.

    Raises
    ------
    PacsAddressError
        If it is no such URL, or holds a password.
    """

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        parts = urlsplit(url)
        self._shown, self._timeout = without_secrets(url), timeout
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise PacsAddressError(
                f"The URL {self._shown} was given with a user, a password or a query, which would "
                f"end in logs; give a token in {TOKEN_VARIABLE}, or a password in the file netrc."
            )
        session = requests.Session()
        if token := os.environ.get(TOKEN_VARIABLE, "").strip():
            session.auth = _Bearer(token)
        try:
            self._client = DICOMwebClient(
                url.rstrip("/"), session, permissive_uid=True, timeout=timeout
            )
        except ValueError:
            raise PacsAddressError(
                f"{self._shown} is no URL of a DICOMweb server; it is like "
                "https://pacs.example/dicom-web."
            ) from None
        # Tried again, a request would send what is left of its body: nothing.
        self._client.set_http_retry_params(retry=False)

    def query(
        self, filters: Mapping[str, str] | None = None, limit: int = 100
    ) -> list[ArchivedSeries]:
        """Look for series (QIDO-RS).

        Parameters
        ----------
        filters : mapping of str, optional
            What they must match: values by DICOM keywords, such as ``PatientID`` or ``StudyDate``,
            with the wildcards and ranges of PS3.4.
        limit : int
            How many are told at most.

        Raises
        ------
        PacsError
        """
        with self._asking():
            found = _pages(
                lambda **page: self._client.search_for_series(
                    search_filters=dict(filters or {}), fields=_FIELDS, **page
                ),
                "SeriesInstanceUID",
                limit,
            )
            return [_archived(one) for one in found]

    def fetch(self, series: str, place: Path, progress: Progress | None = None) -> int:
        """Get a series (WADO-RS), as it was stored, into a new folder.

        Parameters
        ----------
        series : str
            Series Instance UID.
        place : pathlib.Path
            The folder; it is there when all of the series is in it, and not before.
        progress : callable, optional
            Told the share that has arrived.

        Returns
        -------
        int
            Number of its instances, a file each.

        Raises
        ------
        NotInPacsError
            If there is no such series.
        PacsError, OutputError
        """
        if not is_uid(series):
            raise PacsAddressError("That is no Series Instance UID, which has digits and dots.")
        found = self.query({"SeriesInstanceUID": series}, limit=1)
        if not found or found[0].uid != series:
            raise NotInPacsError(f"There is no series {series} at {self._shown}, or not for you.")
        study = found[0].study
        with self._asking():
            listed = _pages(
                lambda **page: self._client.search_for_instances(study, series, **page),
                "SOPInstanceUID",
            )
        wanted = {str(one.SOPInstanceUID) for one in listed}
        arrived: set[str] = set()
        with new_files(place) as (staged,):
            staged.mkdir()
            with self._asking():
                # As they were stored: by default they would be decompressed.
                instances = self._client.iter_series(
                    study, series, media_types=(("application/dicom", "*"),)
                )
                for instance in instances:
                    if instance.SeriesInstanceUID != series:
                        raise PacsAnswerError(f"{self._shown} sent an image of another series.")
                    arrived.add(str(instance.SOPInstanceUID))
                    dcmwrite(staged / f"{len(arrived):05d}.dcm", instance)
                    if progress is not None:
                        progress(min(1.0, len(arrived) / max(1, len(wanted))))
            if missing := len(wanted - arrived):
                raise PacsAnswerError(
                    f"{self._shown} sent {len(arrived)} images of the series; {missing} that it "
                    "lists are missing. Nothing was written; try again, or ask the PACS's staff."
                )
            if not arrived:
                raise PacsAnswerError(f"{self._shown} sent no image of the series {series}.")
        return len(arrived)

    def store(self, files: Sequence[Path], progress: Progress | None = None) -> int:
        """Give images to it (STOW-RS), and see that it confirms each.

        Parameters
        ----------
        files : sequence of pathlib.Path
            DICOM files.
        progress : callable, optional
            Told the share that is stored.

        Returns
        -------
        int
            How many it has.

        Raises
        ------
        PacsRefusedError
            If it does not confirm all; those that it does are stored.
        PacsError, ImageReadError
        """
        stored = 0
        for batch in _batches(files):
            confirmed = self._store(batch)
            stored += confirmed
            if confirmed < len(batch):
                raise PacsRefusedError(
                    f"{self._shown} has taken {stored} of {len(files)} images and refused others, "
                    "the first of which are in "
                    f"{batch[0].parent}. Ask the PACS's staff why; to send all again does no harm."
                )
            if progress is not None:
                progress(stored / len(files))
        return stored

    def _store(self, files: Sequence[Path]) -> int:
        """Send one request, and return how many of its images are confirmed."""
        with discreet_pydicom():
            instances = [read_to_send(file) for file in files]
        sent = {str(instance.SOPInstanceUID) for instance in instances}
        with self._asking():
            answer = self._client.store_instances(instances)
            items = answer.get("ReferencedSOPSequence") or []
            confirmed = {str(item.ReferencedSOPInstanceUID) for item in items}
        return len(files) if sent <= confirmed else len(sent & confirmed)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Make words of what goes wrong; those of others quote URLs and headers."""
        try:
            with discreet_pydicom():
                yield
        except requests.exceptions.JSONDecodeError:
            raise self._nonsense() from None
        except requests.Timeout:
            raise PacsUnreachableError(
                f"{self._shown} did not answer within {self._timeout:g} s; try again later, or "
                "with more time (--timeout)."
            ) from None
        except requests.exceptions.SSLError:
            raise PacsUnreachableError(
                f"The certificate of {self._shown} is not trusted; name the hospital's "
                "certificates in REQUESTS_CA_BUNDLE."
            ) from None
        except requests.HTTPError as error:
            raise self._status(error) from None
        except requests.RequestException:
            raise PacsUnreachableError(
                f"{self._shown} cannot be reached, or the connection broke off; check that the "
                "server runs, its address, and the network."
            ) from None
        except (PacsError, OSError):
            raise
        except Exception:  # of a bad answer the client raises what it stumbles on
            raise self._nonsense() from None

    def _nonsense(self) -> PacsError:
        return PacsAnswerError(
            f"{self._shown} gave an answer that is not DICOMweb's; check that the URL is that of "
            "its DICOMweb services."
        )

    def _status(self, error: requests.HTTPError) -> PacsError:
        status = error.response.status_code
        if status in (401, 403, 407):
            return PacsAccessError(
                f"{self._shown} does not let you in ({status}); give a token in {TOKEN_VARIABLE}, "
                "or user and password in the file netrc."
            )
        if status == 404:
            return NotInPacsError(
                f"There is nothing of the kind at {self._shown} (404); check the URL and the UID."
            )
        if status in (409, 413, 415):
            return PacsRefusedError(
                f"{self._shown} does not take these images ({status}); ask the PACS's staff why."
            )
        return PacsAnswerError(
            f"{self._shown} could not do it (status {status}); try again later, or ask the PACS's "
            "staff."
        )


class _Bearer(requests.auth.AuthBase):
    """Shows a token, also where netrc has a password for the server."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _pages(
    ask: Callable[..., list[dict[str, Any]]], key: str, limit: int | None = None
) -> list[Dataset]:
    """Ask until nothing new comes: servers tell no more at once than they like."""
    found: dict[str, Dataset] = {}
    while limit is None or len(found) < limit:
        size = _PAGE if limit is None else min(_PAGE, limit - len(found))
        page = [Dataset.from_json(one) for one in ask(limit=size, offset=len(found))]
        new = {str(one[key].value): one for one in page if str(one[key].value) not in found}
        if not new:
            break
        found.update(new)
    return list(found.values())[:limit]


def _archived(header: Dataset) -> ArchivedSeries:
    number, images = header.get("SeriesNumber"), header.get("NumberOfSeriesRelatedInstances")
    return ArchivedSeries(
        uid=str(header.SeriesInstanceUID),
        study=str(header.StudyInstanceUID),
        modality=str(header.get("Modality") or ""),
        date=str(header.get("StudyDate") or ""),
        number=None if number is None else int(number),
        images=None if images is None else int(images),
    )


def _batches(files: Sequence[Path]) -> Iterator[list[Path]]:
    batch: list[Path] = []
    size = 0
    for file in files:
        length = file.stat().st_size
        if batch and size + length > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += length
    if batch:
        yield batch
