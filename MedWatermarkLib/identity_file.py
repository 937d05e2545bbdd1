"""Identity files: an age identity under a password, as ``age --passphrase`` keeps one."""

from __future__ import annotations

import os
from pathlib import Path

import pyrage

from MedWatermarkLib.account import KeyFileError, WrongPasswordError
from MedWatermarkLib.output import check_new, new_files
from MedWatermarkLib.sealing import Identity, IdentityError

# Much more than an identity file needs, with comments.
_GREATEST_SIZE = 1 << 16


def create_identity_file(path: str | os.PathLike[str], password: str) -> str:
    """Make a new identity and write its file, readable by its owner alone.

    Parameters
    ----------
    path : path
        A new file.
    password : str
        At least one character.

    Returns
    -------
    str
        The public key, to which others can seal.

    Raises
    ------
    KeyFileError
        If the password is empty.
    OutputError
        If the place is taken or cannot be written to.
    """
    place = Path(path)
    if not password:
        raise KeyFileError("An identity file needs a password of at least one character.")
    check_new(place)
    identity = Identity.generate()
    text = f"# public key: {identity.recipient}\n{identity.text}\n"
    content = pyrage.passphrase.encrypt(text.encode("ascii"), password, armored=True)
    with new_files(place) as [staged]:
        staged.touch(mode=0o600)
        staged.write_bytes(content)
    return identity.recipient


def load_identity(path: str | os.PathLike[str], password: str) -> Identity:
    """Open an identity file.

    Parameters
    ----------
    path : path
        A file of `create_identity_file`, or of ``age-keygen | age --passphrase``.
    password : str
        The one it was made with.

    Raises
    ------
    WrongPasswordError
        If the password does not open it. A file whose encrypted part was damaged looks the same.
    KeyFileError
        If it is no identity file.
    """
    place = Path(path)
    try:
        with place.open("rb") as file:
            content = file.read(_GREATEST_SIZE)
    except OSError as error:
        raise KeyFileError(f"The identity file {place} cannot be read: {error.strerror}.") from None
    try:
        text = pyrage.passphrase.decrypt(content, password).decode("ascii", "replace")
    except pyrage.DecryptError as error:
        if "Decryption failed" in str(error):
            raise WrongPasswordError(
                f"The password does not open the identity file {place}."
            ) from None
        raise KeyFileError(f"{place} is not an identity file, or it is damaged.") from None
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    try:
        return Identity(lines[0])
    except (IndexError, IdentityError):
        raise KeyFileError(f"There is no age identity in {place}.") from None
