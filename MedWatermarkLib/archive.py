"""Archives that can be written in one way only, and are read only if they were.

They are tar files in the format ustar (POSIX.1-1988), which every tar program opens. Nothing is
compressed and nothing of the members but name and size is told: what else a header of tar can say
(other types, links, owners, times, prefixes) always stands at the same value. So a reader does not
parse headers: it knows from the manifest what each must be, to the bit.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterable
from typing import BinaryIO

from MedWatermarkLib.manifest import GREATEST_MEMBER, Member
from MedWatermarkLib.package_errors import (
    DamagedPackageError,
    PackageError,
    TruncatedPackageError,
)

#: Bytes of a block: headers have one, and members are filled up to whole ones with zeros.
BLOCK = 512
#: Two blocks of zeros stand at the end.
END = bytes(2 * BLOCK)

_PIECE_SIZE = 1 << 20

Tell = Callable[[int], None]


def header(name: str, size: int) -> bytes:
    """Return the only header that a member of this name and size can have: 512 bytes.

    Parameters
    ----------
    name : str
        At most 100 ASCII characters.
    size : int
        From 0 to `GREATEST_MEMBER`.

    Raises
    ------
    PackageError
        If there is none.
    """
    if not (
        name.isascii() and 0 < len(name) <= tarfile.LENGTH_NAME and 0 <= size <= GREATEST_MEMBER
    ):
        raise PackageError("A member of the package is too large, or its name too long.")
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def stated_size(block: bytes) -> int | None:
    """Return the size that a header states, if any can be read from it.

    The header is not checked; see `header`.
    """
    try:
        return int(block[124:135], 8)
    except ValueError:
        return None


def padded(size: int) -> int:
    """Return how many bytes a member of this size takes, without its header."""
    return size + -size % BLOCK


def append(archive: BinaryIO, name: str, pieces: Iterable[bytes], size: int, tell: Tell) -> str:
    """Write a member at the end of an archive.

    Parameters
    ----------
    archive : binary file
        Where it is written.
    name : str
    pieces : iterable of bytes
        Its content.
    size : int
        How long that is.
    tell : callable
        Told how many bytes more are done.

    Returns
    -------
    str
        SHA-256 of the content, in hexadecimal.

    Raises
    ------
    PackageError
        If the content has another size: a file was changed meanwhile.
    """
    archive.write(header(name, size))
    hasher = hashlib.sha256()
    left = size
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            break
        hasher.update(piece)
        archive.write(piece)
        tell(len(piece))
    if left:
        raise PackageError("A file of the scan was changed while it was packed; pack it again.")
    archive.write(bytes(-size % BLOCK))
    return hasher.hexdigest()


def extract(archive: BinaryIO, member: Member, target: BinaryIO, tell: Tell) -> None:
    """Read the member that must come next in an archive.

    Parameters
    ----------
    archive : binary file
        Read from where it stands.
    member : Member
        What the manifest says of it.
    target : binary file
        Where its content is written; it is only to be used if no error was raised.
    tell : callable
        Told how many bytes more are done.

    Raises
    ------
    TruncatedPackageError
        If the archive ends before the member does.
    DamagedPackageError
        If another member stands there, or its bytes are others.
    """
    if read(archive, BLOCK) != header(member.name, member.size):
        raise DamagedPackageError(
            f"Where {member.name} should stand in the package there is something else; it is "
            "damaged, or was tampered with."
        )
    hasher = hashlib.sha256()
    left = member.size
    while left:
        piece = read(archive, min(left, _PIECE_SIZE))
        left -= len(piece)
        hasher.update(piece)
        target.write(piece)
        tell(len(piece))
    padding = -member.size % BLOCK
    if hasher.hexdigest() != member.sha256 or read(archive, padding) != bytes(padding):
        raise DamagedPackageError(
            f"{member.name} in the package is not what the manifest says; it is damaged, or was "
            "tampered with."
        )


def read(archive: BinaryIO, size: int) -> bytes:
    """Read so many bytes.

    Raises
    ------
    TruncatedPackageError
        If there are fewer.
    """
    content = archive.read(size)
    if len(content) < size:
        raise TruncatedPackageError("The package breaks off; fetch it again.")
    return content


def check_end(archive: BinaryIO) -> None:
    """Check that an archive ends where it stands.

    Raises
    ------
    TruncatedPackageError
        If it breaks off.
    DamagedPackageError
        If there is more, or something else.
    """
    if read(archive, len(END)) != END or archive.read(1):
        raise DamagedPackageError(
            "There is more in the package than its manifest says; it is damaged, or was tampered "
            "with."
        )
