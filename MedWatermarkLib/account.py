"""Key files: an Ethereum account under a password, as Web3 Secret Storage version 3."""

from __future__ import annotations

import json
import os
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount

from MedWatermarkLib.scratch import scratch

KEY_FILE_VERSION = 3


class KeyFileError(ValueError):
    """A key file that cannot be read, or not be written where it should."""


class KeyFileExistsError(KeyFileError):
    """There is already a file where a key file should be written; a key is never replaced."""


class KeyFileVersionError(KeyFileError):
    """A key file of another version than 3."""


class WrongPasswordError(KeyFileError):
    """The password does not open the key file."""


def create_key_file(
    path: str | os.PathLike[str], password: str, *, iterations: int | None = None
) -> str:
    """Make a new account and write its key file, readable by its owner alone.

    Parameters
    ----------
    path : path-like
        Where the file shall be; its folder must exist, and the file must not.
    password : str
        At least one character; taken as UTF-8, as other Ethereum software does.
    iterations : int, optional
        Scrypt's cost N, a power of two. The default, 2**18, takes about a second.

    Returns
    -------
    str
        The account's address, with checksum (EIP-55).

    Raises
    ------
    KeyFileExistsError
        If something is already there.
    KeyFileError
        If the password is empty or the folder cannot be written to.
    """
    place = Path(path)
    if not password:
        raise KeyFileError("A key file needs a password of at least one character.")
    if place.exists():
        raise _exists(place)
    account = Account.create()
    content = Account.encrypt(account.key, password, kdf="scrypt", iterations=iterations)
    try:
        _write_new(place, json.dumps(content, indent=2).encode("ascii"))
    except FileExistsError:
        raise _exists(place) from None
    except OSError as error:
        raise KeyFileError(f"The key file {place} cannot be written: {error.strerror}.") from error
    return str(account.address)


def load_account(path: str | os.PathLike[str], password: str) -> LocalAccount:
    """Open a key file.

    Parameters
    ----------
    path : path-like
        A key file of version 3, of this or any other Ethereum software.
    password : str
        The one it was made with.

    Returns
    -------
    eth_account.signers.local.LocalAccount
        The account, which can sign.

    Raises
    ------
    WrongPasswordError
        If the password does not open it. A file whose encrypted key was damaged looks the same.
    KeyFileVersionError
        If the file is of another version.
    KeyFileError
        If there is no such file, or it is no key file, or a damaged one.
    """
    place = Path(path)
    try:
        content = json.loads(place.read_bytes())
    except OSError as error:
        raise KeyFileError(f"The key file {place} cannot be read: {error.strerror}.") from error
    except ValueError:
        raise _damaged(place) from None
    version = content.get("version") if isinstance(content, dict) else None
    if version is None:
        raise _damaged(place)
    if version != KEY_FILE_VERSION:
        raise KeyFileVersionError(
            f"The key file {place} is of version {version}; only version {KEY_FILE_VERSION} "
            "can be read."
        )
    try:
        account: LocalAccount = Account.from_key(Account.decrypt(content, password))
    except Exception as error:
        # eth-keyfile has one class for a wrong password and for what is wrong in the file, and
        # lets the errors of its parts through.
        if "MAC mismatch" in str(error):
            raise WrongPasswordError(f"The password does not open the key file {place}.") from None
        raise _damaged(place) from None
    stated = str(content.get("address") or account.address).lower().removeprefix("0x")
    if stated != account.address.lower().removeprefix("0x"):
        raise _damaged(place)
    return account


def _write_new(place: Path, content: bytes) -> None:
    """Write a file whole or not at all, and never over another."""
    with scratch(place) as folder:
        temporary = folder / place.name
        temporary.touch(mode=0o600)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, place)  # Unlike os.replace, it fails where a file is.
        except FileExistsError:
            raise
        except OSError:  # A file system without hard links, such as FAT.
            place.open("xb").close()
            os.replace(temporary, place)


def _exists(place: Path) -> KeyFileExistsError:
    return KeyFileExistsError(f"{place} already exists, and a key file is never overwritten.")


def _damaged(place: Path) -> KeyFileError:
    return KeyFileError(f"{place} is not a key file, or it is damaged.")
