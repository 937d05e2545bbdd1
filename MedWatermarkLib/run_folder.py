"""The folder of a run over many scans: its plan, its results, and what it made.

The plan holds what must be the same when a run goes on: what was asked for, and the stamp of which
all times and random numbers are made, so that a scan that is done again after a crash comes out as
it did before. The stamp's seed is a secret: the plan is readable by its owner alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from MedWatermarkLib.lock import lock
from MedWatermarkLib.output import write_private
from MedWatermarkLib.results import Results
from MedWatermarkLib.stamp import SEED_SIZE, Stamp
from MedWatermarkLib.worklist import Item

PLAN, RESULTS = "plan.json", "results.jsonl"
_LOCK = ".lock"
_FORMAT = "MedWatermark batch run 1"


class RunFolderError(ValueError):
    """A folder that cannot hold this run."""


@dataclass(frozen=True)
class Plan:
    """What a run is to do, from its beginning to its end.

    Attributes
    ----------
    command : str
        Such as ``embed``.
    settings : mapping
        What was asked for, of JSON's types, without secrets.
    stamp : Stamp
        Of the whole run.
    """

    command: str
    settings: Mapping[str, Any]
    stamp: Stamp

    def name_of(self, item: Item) -> str:
        """Return what the results of a scan are called: a name that tells nothing of it."""
        return item.name or self.stamp.random(8, "name", item.key).hex()

    def stamp_of(self, item: Item) -> Stamp:
        """Return the stamp of what is made of a scan; another diagnosis makes something else."""
        return self.stamp.of(self.command, item.key, item.diagnosis or "")


@dataclass(frozen=True)
class RunFolder:
    """A run that this program holds.

    Attributes
    ----------
    path : pathlib.Path
        The folder.
    plan : Plan
    results : Results
    """

    path: Path
    plan: Plan
    results: Results


def is_run_folder(path: Path) -> bool:
    """Tell whether a folder is that of a run."""
    return (path / PLAN).is_file()


def read_plan(folder: Path) -> Plan:
    """Read the plan of a run.

    Raises
    ------
    RunFolderError
        If there is none.
    """
    path = folder / PLAN
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["format"] != _FORMAT:
            raise RunFolderError(f"{path} is of another MedWatermark: update it.")
        seed = bytes.fromhex(content["seed"])
        if len(seed) != SEED_SIZE or type(content["time"]) is not int:
            raise ValueError
        return Plan(content["command"], dict(content["settings"]), Stamp(content["time"], seed))
    except FileNotFoundError:
        raise RunFolderError(f"{folder} is not the folder of a run.") from None
    except RunFolderError:
        raise
    except (ValueError, KeyError, TypeError):
        raise RunFolderError(f"{path} is damaged; begin the run in another folder.") from None


def planned(folder: Path, command: str, settings: Mapping[str, Any]) -> Plan:
    """Return the plan that a folder holds, or a new one; nothing is written.

    Raises
    ------
    RunFolderError
        If the folder holds another run, or something else.
    """
    if not is_run_folder(folder):
        left = [] if not folder.is_dir() else [one.name for one in folder.iterdir()]
        # A beginning that was broken off leaves a lock, and perhaps a scratch folder.
        begun = [name for name in left if name == _LOCK or name.endswith(".part")]
        if folder.exists() and (not folder.is_dir() or len(begun) < len(left)):
            raise RunFolderError(f"{folder} exists already; choose a new folder, or that of a run.")
        return Plan(command, settings, Stamp.now())
    plan = read_plan(folder)
    if plan.command != command:
        raise RunFolderError(f"{folder} holds a run of {plan.command}; choose another folder.")
    changed = sorted(
        name
        for name in {*plan.settings, *settings}
        if plan.settings.get(name) != settings.get(name)
    )
    if changed:
        raise RunFolderError(
            f"The run in {folder} was begun with another {' and another '.join(changed)}; give the "
            "same again, or choose another folder."
        )
    return plan


@contextmanager
def run_folder(folder: Path, command: str, settings: Mapping[str, Any]) -> Iterator[RunFolder]:
    """Hold a run: begin it, or go on with it.

    Parameters
    ----------
    folder : pathlib.Path
        Of that run, or a new one.
    command : str
    settings : mapping
        As of `Plan`.

    Raises
    ------
    RunFolderError
        If another program holds it, or it holds another run or something else.
    ResultsError
        If its results are damaged.
    """
    planned(folder, command, settings)  # Nothing is written into a folder of others.
    if not folder.exists():
        if not folder.absolute().parent.is_dir():
            raise RunFolderError(f"There is no folder {folder.absolute().parent} to write to.")
        folder.mkdir(mode=0o700)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            lock(descriptor)
        except BlockingIOError:
            raise RunFolderError(f"Another program is working on the run in {folder}.") from None
        plan = planned(folder, command, settings)
        if not is_run_folder(folder):
            _write(plan, folder)
        yield RunFolder(folder, plan, Results(folder / RESULTS))
    finally:
        os.close(descriptor)


def _write(plan: Plan, folder: Path) -> None:
    content = {
        "format": _FORMAT,
        "command": plan.command,
        "settings": plan.settings,
        "time": plan.stamp.time,
        "seed": plan.stamp.seed.hex(),
    }
    write_private(folder / PLAN, json.dumps(content, indent=2).encode("ascii"))
