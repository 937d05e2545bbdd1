"""What a command says: to a person at a terminal, or as JSON lines to a program."""

from __future__ import annotations

import json
import os
import sys
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn
from rich.text import Text

from MedWatermarkLib.image_errors import ImageReadWarning

#: Set to anything, it lets errors through with their traceback.
DEBUG_VARIABLE = "MEDWATERMARK_DEBUG"
# Where standard output is no terminal, nothing should be folded: no QR code is wider.
_FILE_WIDTH = 200


class ExitCode(IntEnum):
    """What a script can rely on; written out in ``Docs/command-line.md``."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_READ = 3
    NOT_YET = 4
    CANCELLED = 130


class Report(ABC):
    """How a command tells what it does and what came of it."""

    @abstractmethod
    def step(self, name: str, start: float, end: float) -> Callable[[float], None]:
        """Begin a step of the command.

        Parameters
        ----------
        name : str
            What is done now, such as ``Reading the scan``.
        start, end : float
            Which part of the whole command it takes, from 0 to 1.

        Returns
        -------
        callable
            To be called with the share of the step that is done, from 0 to 1.
        """

    @abstractmethod
    def warn(self, message: str) -> None:
        """Say what the user should know, on one line."""

    @abstractmethod
    def result(self, facts: Mapping[str, Any], *shown: RenderableType) -> None:
        """Tell what came of the command: `facts` to a program, what is `shown` to a person."""

    @abstractmethod
    def fail(self, kind: str, message: str) -> None:
        """Say what went wrong, on one line."""

    @abstractmethod
    def close(self) -> None:
        """Leave the terminal as it was."""


_cancelled = threading.Event()


def cancel(signal_number: int, frame: object) -> None:
    """Take a signal for Cancel, wherever the program is.

    What is raised within a callback, of garbage collection or a compiler, Python ignores; so the
    next step that is reported raises it again.
    """
    _cancelled.set()
    raise KeyboardInterrupt


def _go_on() -> None:
    if _cancelled.is_set():
        raise KeyboardInterrupt


class TerminalReport(Report):
    """Results on standard output; progress, warnings and errors on standard error."""

    def __init__(self) -> None:
        width = None if sys.stdout.isatty() else _FILE_WIDTH
        self._out = Console(highlight=False, width=width)
        self._err = Console(highlight=False, stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            console=self._err,
            transient=True,
            disable=not self._err.is_terminal,
        )
        self._task = self._progress.add_task("", total=1.0)

    def step(self, name: str, start: float, end: float) -> Callable[[float], None]:  # noqa: D102
        def tell(share: float) -> None:
            _go_on()
            self._progress.update(self._task, completed=start + share * (end - start))

        self._progress.start()
        self._progress.update(self._task, description=name)
        tell(0.0)
        return tell

    def warn(self, message: str) -> None:  # noqa: D102
        self._line("Warning: ", "bold yellow", message)

    def result(self, facts: Mapping[str, Any], *shown: RenderableType) -> None:  # noqa: D102
        self._progress.stop()
        for renderable in shown:
            self._out.print(renderable)

    def fail(self, kind: str, message: str) -> None:  # noqa: D102
        self._progress.stop()
        self._line("Error: ", "bold red", message)

    def close(self) -> None:  # noqa: D102
        self._progress.stop()

    def _line(self, word: str, style: str, message: str) -> None:
        self._err.print(Text.assemble((word, style), _one_line(message)), soft_wrap=True)


class JsonReport(Report):
    """Everything on standard output, as one JSON object a line."""

    def step(self, name: str, start: float, end: float) -> Callable[[float], None]:  # noqa: D102
        def tell(share: float) -> None:
            _go_on()
            _say(event="progress", share=round(start + share * (end - start), 4), step=name)

        tell(0.0)
        return tell

    def warn(self, message: str) -> None:  # noqa: D102
        _say(event="warning", message=_one_line(message))

    def result(self, facts: Mapping[str, Any], *shown: RenderableType) -> None:  # noqa: D102
        _say(event="result", **facts)

    def fail(self, kind: str, message: str) -> None:  # noqa: D102
        _say(event="error", kind=kind, message=_one_line(message))

    def close(self) -> None:
        """Do nothing: lines need no end."""


class Findings(Report):
    """A report that keeps what it is told."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.warnings: list[str] = []

    def step(self, name: str, start: float, end: float) -> Callable[[float], None]:  # noqa: D102
        return lambda share: None

    def warn(self, message: str) -> None:  # noqa: D102
        self.warnings.append(message)

    def result(self, facts: Mapping[str, Any], *shown: RenderableType) -> None:  # noqa: D102
        self.facts = dict(facts)

    def fail(self, kind: str, message: str) -> None:
        """Do nothing: errors are raised."""

    def close(self) -> None:
        """Do nothing."""


@contextmanager
def reporting(json_lines: bool) -> Iterator[Report]:
    """Report on what happens within, and end the command with the exit code for it.

    Every error becomes one line. Errors of the library were written for whoever made them; others
    are a fault of this software, whose text could quote a header, and are named only.
    """
    report: Report = JsonReport() if json_lines else TerminalReport()
    try:
        with warnings_told(report):
            yield report
    except (typer.Exit, BrokenPipeError):
        raise
    except (KeyboardInterrupt, typer.Abort, EOFError):
        report.fail("Cancelled", "Cancelled; nothing was written.")
        raise typer.Exit(ExitCode.CANCELLED) from None
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        report.fail(type(error).__name__, sentence_of(error))
        raise typer.Exit(getattr(error, "exit_code", ExitCode.FAILED)) from None
    finally:
        report.close()


@contextmanager
def warnings_told(report: Report) -> Iterator[None]:
    """Let a report tell of what is said about images that are read within."""
    with warnings.catch_warnings():
        # Those of other packages quote values of the header.
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ImageReadWarning)
        warnings.showwarning = lambda message, *_: report.warn(str(message))
        yield


def sentence_of(error: Exception) -> str:
    """Say what went wrong, without what a text of others could quote."""
    if type(error).__module__.startswith("MedWatermarkLib."):
        return str(error)
    if isinstance(error, MemoryError):
        return "There is not enough memory for this scan."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'A file'}: {error.strerror}."
    if "no locator available" in str(error):  # Numba's, from a read-only place without a home.
        return (
            "There is no folder to keep the compiled kernels in: set NUMBA_CACHE_DIR to one that "
            "can be written to."
        )
    return (
        f"Something unexpected happened ({type(error).__name__}), a fault of MedWatermark; nothing "
        f"was written. Please report it, with what {DEBUG_VARIABLE}=1 shows."
    )


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _say(**event: Any) -> None:
    # One write, so that lines of two threads do not mix.
    sys.stdout.write(json.dumps(event, allow_nan=False) + "\n")
    sys.stdout.flush()
