"""A run over many scans, which goes on where it was stopped."""

from __future__ import annotations

import time
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from MedWatermarkLib.batch_task import Job, Task
from MedWatermarkLib.report import Report
from MedWatermarkLib.results import FAILED, Line, Results, read_results
from MedWatermarkLib.run_folder import RESULTS, Plan, RunFolder, RunFolderError, read_plan
from MedWatermarkLib.workers import Engine, perform_all
from MedWatermarkLib.worklist import Item


class BatchError(ValueError):
    """Scans that cannot be worked on in one run."""


@dataclass(frozen=True)
class Todo:
    """What of a run is done, and what is left.

    Attributes
    ----------
    items : tuple of Item
        Those left, by their names.
    names : tuple of str
    done : int
        How many scans have their line of results.
    failed : int
        How many of these say that an error kept the scan from being worked on.
    """

    items: tuple[Item, ...]
    names: tuple[str, ...]
    done: int
    failed: int


def todo(items: Sequence[Item], plan: Plan, results: Results, *, again: bool = False) -> Todo:
    """Tell what is left of a run.

    Parameters
    ----------
    items : sequence of Item
        All that it is to be done to.
    plan : Plan
    results : Results
    again : bool
        Whether scans that failed are to be tried again.

    Raises
    ------
    BatchError
        If two are called the same, or one was done with another diagnosis.
    """
    left: dict[str, Item] = {}
    names: set[str] = set()
    outcomes: Counter[str] = Counter()
    for item in items:
        name = plan.name_of(item)
        if name in names:
            raise BatchError(f"Two scans would both be called {name}; give one another name.")
        names.add(name)
        line = results.get(name)
        if line is None or (again and line["outcome"] == FAILED):
            left[name] = item
            continue
        _check_same(item, line)
        outcomes[line["outcome"]] += 1
    return Todo(tuple(left.values()), tuple(left), outcomes.total(), outcomes[FAILED])


def run(
    todo: Todo, folder: RunFolder, task: Task, engine: Engine, report: Report
) -> Iterator[Line]:
    """Do what is left of a run, and yield each line when it is in the results.

    Parameters
    ----------
    todo : Todo
    folder : RunFolder
    task : Task
    engine : Engine
    report : Report
        Is told how far it is, how fast, and how long it will take.

    Raises
    ------
    WorkersError
    """
    again = set(todo.names)
    if any(line["name"] in again for line in folder.results):
        folder.results.replace(line for line in folder.results if line["name"] not in again)
    place = folder.path.absolute()
    task = task.for_run(folder.plan.stamp)
    jobs = (
        Job(task, item, name, folder.plan.stamp_of(item), place)
        for name, item in zip(todo.names, todo.items, strict=True)
    )
    pace = _Pace(todo, report)
    for line in perform_all(jobs, engine, has_secrets=task.has_secrets):
        folder.results.append(line)
        pace.tell(line)
        yield line


def items_of_run(folder: Path) -> list[Item]:
    """Return what a run of ``embed`` made, to be verified or restored.

    Parameters
    ----------
    folder : pathlib.Path
        Of that run.

    Raises
    ------
    RunFolderError
        If it is that of another run, or made nothing.
    """
    folder = folder.absolute()
    plan = read_plan(folder)
    items = [
        Item(
            folder / line["paths"]["output"],
            name=line["name"],
            copy=line["copy"],
            record=folder / line["paths"]["record"],
            leaves=folder / line["paths"]["leaves"],
            batch_path=folder / line["batch_path"] if line.get("batch_path") else None,
        )
        for line in read_results(folder / RESULTS)
        if plan.command == "embed" and line["outcome"] != FAILED
    ]
    if not items:
        raise RunFolderError(f"The run in {folder} marked no scan.")
    return items


def marked_series(folder: Path) -> dict[str, Item]:
    """Return what a run of ``embed`` made, by the Series Instance UID of the marked scan.

    Wherever a series comes back from, an archive or another hospital, this tells its restoration
    record, its tile leaves and its place in a batch.

    Parameters
    ----------
    folder : pathlib.Path
        Of that run; its marked scans need not be there any more.

    Raises
    ------
    RunFolderError
        If it is that of another run, or marked no DICOM.
    """
    names = {line["name"]: line.get("marked_series") for line in read_results(folder / RESULTS)}
    found = {uid: item for item in items_of_run(folder) if (uid := names[item.name])}
    if not found:
        raise RunFolderError(f"The run in {folder} marked no DICOM series.")
    return found


class _Pace:
    """How far a run is, and how long it will take."""

    def __init__(self, todo: Todo, report: Report) -> None:
        self._all, self._done, self._failed = todo.done + len(todo.items), todo.done, todo.failed
        self._now = 0
        self._first = 0.0
        self._report = report
        self._say("starting")

    def tell(self, line: Line) -> None:
        self._now += 1
        self._failed += line["outcome"] == FAILED
        now = time.monotonic()
        if self._now == 1:
            # What went before was not all work: processes started, kernels were loaded.
            self._first = now
            self._say("working")
            return
        a_minute = 60 * (self._now - 1) / (now - self._first + 1e-9)
        left = (self._all - self._done - self._now) / a_minute
        self._say(f"{a_minute:.1f} a minute, {_duration(left)} left")

    def _say(self, pace: str) -> None:
        done = self._done + self._now
        failed = f", {self._failed} failed" if self._failed else ""
        share = done / self._all if self._all else 1.0
        self._report.step(f"{done} of {self._all} scans{failed}; {pace}", share, 1.0)


def _duration(minutes: float) -> str:
    if minutes < 1.5:
        return f"{60 * minutes:.0f} s"
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h"


def _check_same(item: Item, line: Line) -> None:
    """Refuse to pass over a scan that was marked with another diagnosis than is asked for now."""
    if item.diagnosis is None or line["outcome"] != "marked":
        return
    if unicodedata.normalize("NFC", item.diagnosis.strip()) != line["claim"]["diagnosis"]:
        raise BatchError(
            f"{item.title} was marked in this run with another diagnosis than is asked for now; "
            "choose a new folder for it."
        )
