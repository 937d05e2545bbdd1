"""Secrets of the command line: never arguments, which every user of a machine can list."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from MedWatermarkLib.report import ExitCode

PASSWORD_VARIABLE = "MEDWATERMARK_PASSWORD"
IDENTITY_PASSWORD_VARIABLE = "MEDWATERMARK_IDENTITY_PASSWORD"
MARK_KEY_VARIABLE = "MEDWATERMARK_MARK_KEY"


class PasswordMissingError(ValueError):
    """A password is needed, and there is no way to ask for one."""

    exit_code = ExitCode.USAGE


class MarkKeyError(ValueError):
    """A file that holds no key for a mark."""


def read_password(
    from_stdin: bool, prompt: str, *, twice: bool = False, variable: str = PASSWORD_VARIABLE
) -> str:
    """Get the password of a key file or an identity file.

    Parameters
    ----------
    from_stdin : bool
        Whether the next line of standard input is the password.
    prompt : str
        What to ask for at a terminal, where the environment's variable is not set.
    twice : bool
        Whether to ask twice: for a new password.
    variable : str
        Which variable of the environment may hold it.

    Raises
    ------
    PasswordMissingError
        If there is none, and no terminal to ask at.
    """
    if from_stdin:
        try:
            password = sys.stdin.buffer.readline().decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise PasswordMissingError("The password on standard input is not UTF-8.") from None
        if not password:
            raise PasswordMissingError(f"There is no password on standard input. ({prompt})")
        return password
    if password := os.environ.get(variable, ""):
        return password
    if not sys.stdin.isatty():
        raise PasswordMissingError(
            "A password is needed: type it at a terminal, give it with --password-stdin, or set "
            f"{variable}. ({prompt})"
        )
    return str(typer.prompt(prompt, hide_input=True, confirmation_prompt=twice, err=True))


def read_mark_key(file: Path | None) -> bytes:
    """Get the key of a mark; empty, and so public, where none is given.

    Parameters
    ----------
    file : pathlib.Path, optional
        A file that holds it; else it is looked for in ``MEDWATERMARK_MARK_KEY``. White space
        around it does not count, so that an editor's last line break makes no other key.

    Raises
    ------
    MarkKeyError
        If the file is empty.
    """
    if file is None:
        return os.environ.get(MARK_KEY_VARIABLE, "").strip().encode()
    key = file.read_bytes().strip()
    if not key:
        raise MarkKeyError(f"The key file {file} is empty, which would make the mark public.")
    return key
