"""Claims: who says that a scan shows what.

A claim binds a diagnosis to the hash of a scan under the signature of an Ethereum account. Its
text is what the watermark carries and a QR code shows; ``Docs/formats.md`` has the format and
test vectors.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import base45
import cbor2
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from pydicom.datadict import dictionary_description, tag_for_keyword

from MedWatermarkLib.mention import mentions
from MedWatermarkLib.signature import SignatureError, sign_struct, signer_of

PREFIX = "MW1:"
_CHECKSUM_SIZE = 4
# Embeddings, overrides and isolates make a text read otherwise than it was signed (UAX 9).
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class ClaimError(ValueError):
    """A text that is no claim, or a claim that cannot be made."""


class ForeignTextError(ClaimError):
    """A text that is not a claim of MedWatermark at all."""


class FutureVersionError(ClaimError):
    """A claim of a later version than this software knows.

    Attributes
    ----------
    version : int
        The version that the text names.
    """

    def __init__(self, version: int) -> None:
        super().__init__(
            f"The claim is of version {version}, which this MedWatermark does not know: update it."
        )
        self.version = version


class TruncatedClaimError(ClaimError):
    """A claim's text that breaks off."""


class DamagedClaimError(ClaimError):
    """A claim's text in which characters were changed, added or lost."""


class InvalidClaimError(ClaimError):
    """A claim that was written so, undamaged, but cannot be one."""


class DiagnosisError(ClaimError):
    """A diagnosis that a claim cannot hold."""


class IdentifyingDiagnosisError(DiagnosisError):
    """A diagnosis that names the patient, or whoever else the scan's attributes name.

    Attributes
    ----------
    keyword : str
        DICOM keyword of the attribute whose value the diagnosis contains.
    """

    def __init__(self, keyword: str) -> None:
        known = tag_for_keyword(keyword) is not None
        name = f"{dictionary_description(keyword)} ({keyword})" if known else keyword
        super().__init__(
            f"The diagnosis contains the scan's {name}; write it without, since it is shared."
        )
        self.keyword = keyword


@dataclass(frozen=True)
class Claim:
    """A signed statement that the scan with this hash shows this.

    Attributes
    ----------
    image_hash : bytes
        32 bytes, `ImageHash.digest` of the scan without mark.
    diagnosis : str
        What the scan shows; taken as it is, see `sign`.
    salt : bytes
        16 random bytes, without which the commitment would give away a guessed diagnosis.
    issued_at : int
        When it was signed, in seconds since 1970-01-01 UTC.
    signature : bytes
        64 bytes, compact (EIP-2098), over the EIP-712 hash of commitment and time.

    Raises
    ------
    InvalidClaimError
        If a field has not the form above, or nobody can have made the signature.
    DiagnosisError
        If the diagnosis is empty or holds control characters or lone surrogates.
    """

    image_hash: bytes = field(repr=False)
    diagnosis: str = field(repr=False)
    salt: bytes = field(repr=False)
    issued_at: int
    signature: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _require_fields(self.image_hash, self.diagnosis, self.salt, self.issued_at)
        _require_bytes("signature", self.signature, 64)
        _ = self.signer

    @property
    def commitment(self) -> bytes:
        """32 bytes that stand for the claim where hash and diagnosis must stay unknown."""
        return _commitment(self.salt, self.image_hash, self.diagnosis)

    @cached_property
    def signer(self) -> str:
        """Address of whoever signed, with checksum (EIP-55)."""
        values = _signed_values(self.commitment, self.issued_at)
        try:
            return signer_of("Claim", values, self.signature)
        except SignatureError as error:
            raise InvalidClaimError(f"The claim cannot be one. {error}") from error

    def to_text(self) -> str:
        """Write the claim as ``MW1:`` and Base45 of CBOR, as the QR code says it."""
        items = [self.image_hash, self.diagnosis, self.salt, self.issued_at, self.signature]
        # A placeholder keeps the array's head right; the checksum's own head precedes it.
        payload = cbor2.dumps([*items, bytes(_CHECKSUM_SIZE)])[:-_CHECKSUM_SIZE]
        encoded: bytes = base45.b45encode(payload + _checksum(payload))
        return PREFIX + encoded.decode("ascii")

    @classmethod
    def from_text(cls, text: str) -> Claim:
        """Read a claim's text.

        Whose signature it bears is not judged here: a forged claim has its forger as `signer`.

        Parameters
        ----------
        text : str
            As `to_text` writes it; white space around it does not matter (no claim ends in any).

        Raises
        ------
        ForeignTextError
            If the text is something else.
        FutureVersionError
            If it is a claim of a later version.
        TruncatedClaimError
            If it breaks off.
        DamagedClaimError
            If characters were changed, added or lost.
        InvalidClaimError, DiagnosisError
            If it is whole, but was not written by this format's rules.
        """
        text = text.strip()
        payload = _payload(text)
        try:
            image_hash, diagnosis, salt, issued_at, signature, _ = cbor2.loads(payload)
        except Exception as error:  # CBOR's tags let errors of many types through, see cbor2 5.
            raise InvalidClaimError("The claim does not hold what a claim holds.") from error
        claim = cls(image_hash, diagnosis, salt, issued_at, signature)
        if claim.to_text() != text:
            raise InvalidClaimError("The claim is not written in the one way it can be.")
        return claim


def sign(
    image_hash: bytes,
    diagnosis: str,
    account: LocalAccount,
    *,
    issued_at: int | None = None,
    salt: bytes | None = None,
) -> Claim:
    """Sign a diagnosis of a scan.

    Parameters
    ----------
    image_hash : bytes
        32 bytes, `ImageHash.digest` of the scan without mark.
    diagnosis : str
        One line of any script; white space around it is dropped, and it is brought to Unicode's
        form NFC, so that what looks the same on two keyboards is the same.
    account : eth_account.signers.local.LocalAccount
        Whoever vouches for it.
    issued_at : int, optional
        Seconds since 1970-01-01 UTC; now, if not given.
    salt : bytes, optional
        16 bytes; random, if not given, and better so.

    Raises
    ------
    DiagnosisError
        If the diagnosis is empty or holds control characters or lone surrogates.
    InvalidClaimError
        If another field has not the form that `Claim` asks for.
    """
    diagnosis = unicodedata.normalize("NFC", diagnosis.strip())
    salt = secrets.token_bytes(16) if salt is None else salt
    issued_at = int(time.time()) if issued_at is None else issued_at
    _require_fields(image_hash, diagnosis, salt, issued_at)
    values = _signed_values(_commitment(salt, image_hash, diagnosis), issued_at)
    signature = sign_struct("Claim", values, account)
    return Claim(image_hash, diagnosis, salt, issued_at, signature)


def check_diagnosis(diagnosis: str, identity: Mapping[str, str]) -> None:
    """Refuse a diagnosis that contains a value of an identifying attribute.

    What counts as containing is said at `MedWatermarkLib.mention.mentions`. It is a net against
    slips, not against intent.

    Parameters
    ----------
    diagnosis : str
        The text that would leave the house.
    identity : mapping of str to str
        DICOM keyword to value, `Volume.identity`; several values are parted by backslashes.

    Raises
    ------
    IdentifyingDiagnosisError
        Names the attribute, and never the value.
    """
    for keyword, values in identity.items():
        if any(mentions(diagnosis, keyword, value) for value in values.split("\\")):
            raise IdentifyingDiagnosisError(keyword)


def _commitment(salt: bytes, image_hash: bytes, diagnosis: str) -> bytes:
    return keccak(salt + image_hash + keccak(diagnosis.encode("utf-8")))


def _signed_values(commitment: bytes, issued_at: int) -> dict[str, object]:
    return {"commitment": commitment, "issuedAt": issued_at}


def _checksum(payload: bytes) -> bytes:
    return hashlib.sha256(PREFIX.encode("ascii") + payload).digest()[:_CHECKSUM_SIZE]


def _payload(text: str) -> bytes:
    """Take the CBOR out of a claim's text, whole and undamaged."""
    if text in ("MW", "MW1"):
        raise TruncatedClaimError("The claim's text breaks off after a few characters.")
    prefix = re.match(r"MW([1-9][0-9]{0,3}):", text)
    if prefix is None:
        raise ForeignTextError("The text is not a claim of MedWatermark.")
    if prefix[0] != PREFIX:
        raise FutureVersionError(int(prefix[1]))
    body = text[len(PREFIX) :]
    try:
        payload: bytes = base45.b45decode(body)
    except ValueError:
        payload = b""
    if payload[-_CHECKSUM_SIZE:] == _checksum(payload[:-_CHECKSUM_SIZE]):
        return payload
    if _breaks_off(body):
        raise TruncatedClaimError("The claim's text breaks off: the end of it is missing.")
    raise DamagedClaimError("The claim's text is damaged: copy it, or scan its code, again.")


def _breaks_off(body: str) -> bool:
    """Tell whether a text is good as far as it goes, and CBOR's lengths ask for more."""
    for part in (body, body[: len(body) // 3 * 3]):  # A cut within a group leaves no Base45.
        try:
            cbor2.loads(base45.b45decode(part))
        except cbor2.CBORDecodeEOF:
            return True
        except Exception:  # No Base45, or CBOR that fails before its end.
            continue
    return False


def _require_fields(image_hash: bytes, diagnosis: str, salt: bytes, issued_at: int) -> None:
    _require_bytes("image hash", image_hash, 32)
    _require_bytes("salt", salt, 16)
    if type(issued_at) is not int or not 0 <= issued_at < 2**64:
        raise InvalidClaimError("The claim's time of issue is not a time since 1970.")
    _require_plain(diagnosis)


def _require_bytes(name: str, value: bytes, size: int) -> None:
    if not isinstance(value, bytes) or len(value) != size:
        raise InvalidClaimError(f"The claim's {name} is not {size} bytes.")


def _require_plain(diagnosis: str) -> None:
    if not isinstance(diagnosis, str) or not diagnosis.strip():
        raise DiagnosisError("The diagnosis is empty.")
    for character in diagnosis:
        # Control characters, lone surrogates, line and paragraph separators (UAX 44, table 12).
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _BIDI:
            raise DiagnosisError(
                f"The diagnosis contains the character U+{ord(character):04X}, which controls how "
                "text is shown or is none at all; write it on one line without."
            )
