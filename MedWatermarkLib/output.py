"""New files: written beside their places, and moved there when all of them are whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from MedWatermarkLib.image_errors import ImageWriteError, reason_of
from MedWatermarkLib.scratch import scratch


class OutputError(ValueError):
    """Something cannot be written where it should; nothing was."""


class OutputExistsError(OutputError):
    """There is something already where a new file or folder should be."""


def check_new(*places: Path) -> None:
    """Refuse places that are taken or cannot be written to, before any work is done for them.

    Parameters
    ----------
    *places : pathlib.Path
        Files, or folders, which may be there if they are empty.

    Raises
    ------
    OutputExistsError
        If something is at a place.
    OutputError
        If its folder is missing or not writable, or one place is or lies in another.
    """
    absolute = [Path(os.path.abspath(place)) for place in places]
    for index, place in enumerate(absolute):
        if os.path.lexists(place) and not _is_empty_folder(place):
            raise OutputExistsError(f"{places[index]} exists already; choose another name.")
        if not place.parent.is_dir() and place.parent not in absolute:
            raise OutputError(f"There is no folder {place.parent} to write to.")
        for other in absolute[:index]:
            if place == other or place in other.parents or other in place.parents:
                raise OutputError(
                    f"{places[index]} cannot be written there too: keep it apart from {other}."
                )
        if not os.access(place.parent, os.W_OK | os.X_OK):
            raise OutputError(f"The folder {place.parent} cannot be written to.")


@contextmanager
def new_files(*places: Path) -> Iterator[list[Path]]:
    """Write several files or folders, all or none.

    Parameters
    ----------
    *places : pathlib.Path
        Where they shall be.

    Yields
    ------
    list of pathlib.Path
        Where to write each. They are moved to their places in the end, with whatever was written
        beside them (the voxels of ``.nhdr``); after an error nothing is left of any.

    Raises
    ------
    OutputExistsError
        If something is at a place by then.
    OutputError
        If the system does not let one be written.
    ImageWriteError
        As it was raised within, with the name of the place.
    """
    absolute = [Path(os.path.abspath(place)) for place in places]
    staged: list[Path] = []
    try:
        with ExitStack() as folders:
            staged += [folders.enter_context(scratch(place)) / place.name for place in absolute]
            yield staged
            _move_all(staged, absolute)
    except (ImageWriteError, OSError) as error:
        if (reason := reason_of(error)) is not None:
            names = " and ".join(map(str, places))
            raise OutputError(f"{names} cannot be written: {reason}.") from error
        message = str(error)
        for temporary, place in zip(staged, places, strict=True):
            message = message.replace(str(temporary), str(place))
        raise ImageWriteError(message) from error


def write_private(place: Path, content: bytes) -> None:
    """Write a file, in place of what it may have held, in one step; its owner alone may read it.

    Parameters
    ----------
    place : pathlib.Path
    content : bytes

    Raises
    ------
    OSError
        If the system does not let it be written; it is as it was then.
    """
    with scratch(place) as folder:
        temporary = folder / place.name
        temporary.touch(mode=0o600)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, place)


def _move_all(staged: list[Path], places: list[Path]) -> None:
    moved: list[Path] = []
    try:
        for temporary, place in zip(staged, places, strict=True):
            # Of .nhdr and .mhd the header is moved last: it names the file with the voxels.
            for file in sorted(temporary.parent.iterdir(), key=lambda file: file == temporary):
                target = place.with_name(file.name)
                if _is_empty_folder(target):
                    target.rmdir()  # On Windows a folder does not give way to another.
                if os.path.lexists(target):
                    raise OutputExistsError(f"{target} exists already; choose another name.")
                moved.append(target)
                os.replace(file, target)
    except BaseException:
        for target in moved:
            if target.is_dir():
                shutil.rmtree(target, ignore_errors=True)
            else:
                target.unlink(missing_ok=True)
        raise


def _is_empty_folder(place: Path) -> bool:
    return place.is_dir() and not place.is_symlink() and not any(place.iterdir())
