"""What the commands of ``medwatermark batch`` do, and how they report it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from MedWatermarkLib.batch import Todo, items_of_run, run, todo
from MedWatermarkLib.batch_task import Task
from MedWatermarkLib.report import ExitCode, Report
from MedWatermarkLib.results import FAILED, Results
from MedWatermarkLib.run_folder import (
    RESULTS,
    RunFolderError,
    is_run_folder,
    planned,
    read_plan,
    run_folder,
)
from MedWatermarkLib.tables import grid
from MedWatermarkLib.workers import Engine
from MedWatermarkLib.worklist import Item, find_items

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from MedWatermarkLib.ledger import Ledger

# Lines that a terminal shows of a list.
_SHOWN = 20


@dataclass(frozen=True)
class Run:
    """What is asked for.

    Attributes
    ----------
    source : pathlib.Path
        Folder, worklist, or folder of a run of ``embed``.
    folder : pathlib.Path
        Of this run.
    engine : Engine
    dry : bool
        Whether only to tell what would be done.
    again : bool
        Whether scans that failed are to be tried again.
    marked : mapping of Item or None
        What a run of ``embed`` has marked, by Series Instance UID, if only that is to be taken.
    """

    source: Path
    folder: Path
    engine: Engine
    dry: bool = False
    again: bool = False
    marked: Mapping[str, Item] | None = None


def run_batch(asked: Run, task: Task, report: Report, diagnosis: str | None = None) -> None:
    """Do a run, or what is left of it, and report.

    Raises
    ------
    typer.Exit
        With `ExitCode.NOT_READ`, if a scan failed or did not pass.
    WorklistError, ImageReadError, RunFolderError, ResultsError, BatchError, WorkersError
    """
    planned(asked.folder, task.command, task.settings)
    report.step("Looking for scans", 0.0, 0.0)
    if is_run_folder(asked.source):
        items = items_of_run(asked.source)
    else:
        items = find_items(asked.source, diagnosis=diagnosis, needs=task.needs, marked=asked.marked)
    if asked.dry:
        plan = planned(asked.folder, task.command, task.settings)
        left = todo(items, plan, Results(asked.folder / RESULTS), again=asked.again)
        _report_dry(left, task, report)
        return
    with run_folder(asked.folder, task.command, task.settings) as folder:
        left = todo(items, folder.plan, folder.results, again=asked.again)
        try:
            for line in run(left, folder, task, asked.engine, report):
                if line["outcome"] == FAILED:
                    report.warn(f"{line['name']} ({line['path']}) failed: {line['error']}")
        except KeyboardInterrupt:
            done = sum(folder.results.get(name) is not None for name in left.names) + left.done
            report.fail(
                "Cancelled",
                f"Cancelled after {done} of {len(items)} scans; the same command goes on from "
                "there.",
            )
            raise typer.Exit(ExitCode.CANCELLED) from None
        _report_run(items, left, folder.path, folder.results, folder.plan.name_of, task, report)


def register_batch(path: Path, ledger: Ledger, signer: LocalAccount, report: Report) -> None:
    """Register what a run has marked, and report.

    Raises
    ------
    RunFolderError, ResultsError, RegistrationError, LedgerError
    """
    from MedWatermarkLib.batch_registration import PATHS, register_run

    plan = read_plan(path)
    if plan.command != "embed":
        raise RunFolderError(f"The run in {path} marked no scan.")
    report.step("Registering", 0.1, 1.0)
    with run_folder(path, plan.command, plan.settings) as folder:
        sent = register_run(folder, ledger, signer)
    records = sum(one.batch.count for one in sent)
    facts = {
        "command": "batch register",
        "run": str(path),
        "registered": records,
        "batches": [
            {
                "id": one.batch.id.hex(),
                "root": one.batch.root.hex(),
                "records": one.batch.count,
                "issued_at": one.batch.issued_at,
                "transaction": None if one.transaction is None else one.transaction.hex(),
                "gas": one.gas,
            }
            for one in sent
        ],
    }
    rows = []
    for one in sent:
        rows += [("Batch", one.batch.id.hex()), ("Records", str(one.batch.count))]
        if one.gas is not None:
            rows.append(("Gas", f"{one.gas:,}, {one.gas / one.batch.count:,.0f} a record"))
    if not sent:
        report.result(facts, Text("Nothing was left to register.", "bold green"))
        return
    rows.append(("Paths", f"{path / PATHS}: without its own, no record can be shown"))
    report.result(facts, Text("The scans are registered.", "bold green"), grid(rows))


def _report_run(
    items: Sequence[Item],
    left: Todo,
    path: Path,
    results: Results,
    name_of: Callable[[Item], str],
    task: Task,
    report: Report,
) -> None:
    lines = [line for item in items if (line := results.get(name_of(item))) is not None]
    outcomes = Counter(line["outcome"] for line in lines)
    good = not outcomes.keys() & {FAILED, "not passed"}
    facts = {
        "command": f"batch {task.command}",
        "run": str(path),
        "results": str(path / RESULTS),
        "scans": len(items),
        "worked_on": len(left.items),
        "outcomes": dict(outcomes),
    }
    rows = [(outcome.capitalize(), str(count)) for outcome, count in outcomes.most_common()]
    rows.append(("Results", str(path / RESULTS)))
    if not left.items:
        headline = Text("Nothing was left to do.", "bold green" if good else "bold yellow")
    elif good:
        headline = Text(f"All {len(items)} scans are done.", "bold green")
    else:
        headline = Text(
            "All scans were worked on; see the results for those with an error, and "
            "try these again with --again.",
            "bold yellow",
        )
    report.result(facts, headline, grid(rows))
    if not good:
        raise typer.Exit(ExitCode.NOT_READ)


def _report_dry(left: Todo, task: Task, report: Report) -> None:
    facts = {
        "command": f"batch {task.command}",
        "dry_run": True,
        "done": left.done,
        "left": [
            {"name": name, "scan": item.title, "copy": item.copy}
            for name, item in zip(left.names, left.items, strict=True)
        ],
    }
    table = Table("Name", "Scan", box=None, header_style="dim")
    for name, item in list(zip(left.names, left.items, strict=True))[:_SHOWN]:
        table.add_row(name, Text(item.title))
    if len(left.items) > _SHOWN:
        table.add_row("...", f"and {len(left.items) - _SHOWN} more")
    headline = f"{len(left.items)} scans would be worked on; {left.done} are done."
    report.result(facts, Text(headline, "bold"), table)
