"""Sealing with age: files that only one identity opens, and identities that go from hand to hand.

The format is https://age-encryption.org/v1, by `pyrage`, the binding of the Rust implementation;
every other age opens what is sealed here. Only the recipients of that specification's X25519 are
used.
"""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass, field
from typing import BinaryIO

import pyrage

from MedWatermarkLib.progress import Progress

_INTRO = b"age-encryption.org/v1\n"
# An envelope holds one identity for one recipient: some 300 bytes.
_GREATEST_ENVELOPE = 4096


class SealError(ValueError):
    """Something cannot be sealed, or a seal not be opened."""


class RecipientError(SealError):
    """A text that is no age public key."""


class IdentityError(SealError):
    """A text that is no age identity."""


class WrongIdentityError(SealError):
    """A seal that was made for another identity."""


class DamagedSealError(SealError):
    """A sealed file that is damaged, cut short or none at all."""


class CommitmentError(SealError):
    """An identity that is another than the ledger was told."""


@dataclass(frozen=True)
class Identity:
    """Who can open what is sealed to it: an age identity.

    Attributes
    ----------
    text : str
        A secret: ``AGE-SECRET-KEY-1`` and 58 characters (Bech32, BIP 173).

    Raises
    ------
    IdentityError
        If it is none.
    """

    text: str = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", str(self._key))

    @classmethod
    def generate(cls) -> Identity:
        """Make a new one, from the system's randomness."""
        return cls(str(pyrage.x25519.Identity.generate()))

    @property
    def recipient(self) -> str:
        """Its public key, to which everybody can seal: ``age1`` and 58 characters."""
        return str(self._key.to_public())

    @property
    def commitment(self) -> bytes:
        """32 bytes that commit to it: SHA-256 of its text, in upper case as age writes it.

        For an identity's 256 bits of randomness nobody can find it from that.
        """
        return hashlib.sha256(self.text.encode("ascii")).digest()

    @property
    def _key(self) -> pyrage.x25519.Identity:
        try:
            return pyrage.x25519.Identity.from_str(self.text.strip())
        except Exception:  # the cause would hold the text
            pass
        raise IdentityError("This is no age identity, which begins with AGE-SECRET-KEY-1.")

    def __str__(self) -> str:
        return repr(self)


def seal(
    source: BinaryIO, target: BinaryIO, recipient: str, progress: Progress | None = None
) -> None:
    """Seal a file to a recipient.

    Parameters
    ----------
    source : binary file
        Read from where it stands to its end; seekable, if progress is to be told.
    target : binary file
        Where the age file is written. It is another each time.
    recipient : str
        An age public key.
    progress : callable, optional
        Called with the share that is done, from 0 to 1; what it raises ends the work.

    Raises
    ------
    RecipientError
        If the recipient is no age public key.
    """
    key = _recipient(recipient)
    files = _Files(source, target, progress)
    try:
        pyrage.encrypt_io(files, files, [key])
    except (pyrage.EncryptError, OSError) as error:
        files.raise_what_happened()
        raise SealError("The file could not be sealed.") from error


def unseal(
    source: BinaryIO, target: BinaryIO, identity: Identity, progress: Progress | None = None
) -> None:
    """Open a sealed file.

    Parameters
    ----------
    source : binary file
        An age file, from anybody, read from where it stands to its end.
    target : binary file
        Where its content is written, up to 64 KiB at a time as each is found to be genuine; it is
        only to be used if no error was raised, since the rest may be missing.
    identity : Identity
        To which it was sealed.
    progress : callable, optional
        Called with the share that is done, from 0 to 1; what it raises ends the work.

    Raises
    ------
    WrongIdentityError
        If it was sealed to another.
    DamagedSealError
        If it is damaged, cut short, or no age file.
    """
    files = _Files(source, target, progress)
    try:
        pyrage.decrypt_io(files, files, [identity._key])
    except (pyrage.DecryptError, OSError) as error:  # OSError: of damage behind the header
        files.raise_what_happened()
        if "No matching keys" in str(error):
            raise WrongIdentityError("The seal was not made for this identity.") from None
        if not files.start.startswith(_INTRO):
            raise DamagedSealError("This is no sealed file (age).") from None
        raise DamagedSealError("The sealed file is damaged or cut short; fetch it again.") from None


def make_envelope(content: Identity, recipient: str) -> bytes:
    """Seal the identity that opens a package to the one who may open it.

    Parameters
    ----------
    content : Identity
        The content identity.
    recipient : str
        The recipient's age public key.

    Returns
    -------
    bytes
        An age file of the identity's text.

    Raises
    ------
    RecipientError
        If the recipient is no age public key.
    """
    envelope = io.BytesIO()
    seal(io.BytesIO(content.text.encode("ascii")), envelope, recipient)
    return envelope.getvalue()


def open_envelope(envelope: bytes, identity: Identity, commitment: bytes) -> Identity:
    """Take a content identity from an envelope, and check that it is the promised one.

    Parameters
    ----------
    envelope : bytes
        From anybody.
    identity : Identity
        The recipient's.
    commitment : bytes
        `Identity.commitment` of the content identity, as the ledger holds it.

    Raises
    ------
    WrongIdentityError
        If the envelope is for another.
    DamagedSealError
        If it is damaged, or none.
    CommitmentError
        If another identity is in it than the ledger says.
    """
    if len(envelope) > _GREATEST_ENVELOPE:
        raise DamagedSealError("This is no envelope: it is too large.")
    opened = io.BytesIO()
    unseal(io.BytesIO(envelope), opened, identity)
    try:
        content = Identity(opened.getvalue().decode("ascii", "replace"))
    except IdentityError:
        raise DamagedSealError("There is no age identity in the envelope.") from None
    if content.commitment != commitment:
        raise CommitmentError(
            "The envelope does not hold the identity that the ledger was told of: do not accept "
            "the offer."
        )
    return content


def check_recipient(text: str) -> str:
    """Return an age public key as it is given, without white space around it.

    Raises
    ------
    RecipientError
        If it is none.
    """
    _recipient(text)
    return text.strip()


class _Files:
    """A file to read and one to write, which tell how far they are and what they raised.

    From `pyrage` that comes back as an error of its own, or as one that damage makes too.
    """

    def __init__(self, source: BinaryIO, target: BinaryIO, progress: Progress | None) -> None:
        self._source, self._target = source, target
        self._progress = progress
        self._error: BaseException | None = None
        self._done = self._size = 0
        self.start = b""
        if progress is not None:
            here = source.tell()
            self._size = source.seek(0, os.SEEK_END) - here
            source.seek(here)

    def read(self, size: int = -1) -> bytes:
        try:
            piece = self._source.read(size)
            self._done += len(piece)
            if self._progress is not None and piece:
                self._progress(min(1.0, self._done / self._size))
        except BaseException as error:
            self._error = error
            raise
        if len(self.start) < len(_INTRO):
            self.start += piece[: len(_INTRO)]
        return piece

    def write(self, piece: bytes) -> int:
        try:
            return self._target.write(piece)
        except BaseException as error:
            self._error = error
            raise

    def flush(self) -> None:
        self._target.flush()

    def raise_what_happened(self) -> None:
        if self._error is not None:
            raise self._error


def _recipient(text: str) -> pyrage.x25519.Recipient:
    try:
        return pyrage.x25519.Recipient.from_str(text.strip())
    except pyrage.RecipientError:
        raise RecipientError(
            "The recipient's public key is none of age, which begins with age1."
        ) from None
