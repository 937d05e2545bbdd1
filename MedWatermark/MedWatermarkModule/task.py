"""Something that takes time: a command in a child process, and what is made of its result."""

import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from MedWatermarkModule.child import Child, CommandError


class CancelledError(Exception):
    """The user cancelled what was going on; nothing was changed."""


class Task:
    """
    A command that runs in a child process. Look at it by ``poll``, or ``wait`` for it.

    share - How much of it is done, 0 to 1.
    step - What is done now, in words.
    warnings - What the user should know.
    """

    # Whether the child is to end with Slicer, also with one that crashed.
    lifeline = False

    def __init__(self, folder, arguments: list, finish: Callable, secret: str = "") -> None:
        self.share = 0.0
        self.step = ""
        self.warnings = []
        self._folder = folder
        self._finish = finish
        self._facts = None
        self._error = None
        self._isCancelled = False
        self._result = None
        self._hasEnded = False
        self._isPutAway = False
        self._child = Child(arguments, Path(folder.name), secret, self.lifeline)

    def poll(self) -> bool:
        """Look how far it is; true once it has ended. Never waits."""
        if self._hasEnded:
            return True
        code = self._child.returnCode()
        for event in self._child.events():
            self._hear(event)
        if code is None:
            return False
        self._end(code)
        return True

    def result(self):
        """
        What came of it, once it has ended.

        :raises CommandError: if the command failed.
        :raises CancelledError: if it was cancelled.
        """
        if self._error is not None:
            raise self._error
        return self._result

    def wait(self, progress: Callable[[float], None] | None = None):
        """
        Wait for it, as scripts do: the application does nothing meanwhile.

        :param progress: called with the share that is done, 0 to 1; what it raises cancels.
        :return: what came of it.
        :raises CommandError: if the command failed.
        """
        try:
            while not self.poll():
                if progress:
                    progress(self.share)
                time.sleep(0.05)
        except BaseException:
            self.stop()
            raise
        if progress:
            progress(1.0)
        return self.result()

    def cancel(self) -> None:
        """Ask the child to end; ``poll`` tells when it has."""
        self._isCancelled = True
        self._child.cancel()

    def stop(self) -> None:
        """End it now, and forget it."""
        if not self._hasEnded:
            self._hasEnded = True
            self._error = CancelledError()
            self._putAway()

    def _hear(self, event: dict) -> None:
        kind = event.pop("event")
        if kind == "progress":
            self.share, self.step = event["share"], event["step"]
        elif kind == "warning":
            self.warnings.append(event["message"])
        elif kind == "error":
            self._error = CommandError(event["kind"], event["message"])
        elif kind == "result":
            self._facts = event

    def _end(self, code: int) -> None:
        self._hasEnded = True
        try:
            if self._isCancelled:
                self._error = CancelledError()
            elif self._facts is None and self._error is None:
                self._error = CommandError("ChildEndedError", self._said(code))
            if self._error is None:
                self._result = self._finish(self._facts)
        except Exception as error:
            self._error = error
        finally:
            self._putAway()

    def _said(self, code: int) -> str:
        said = self._child.complaint().splitlines()
        return _("The work ended before it was done (exit code {code}). {said}").format(
            code=code, said=" ".join(said[-3:])
        )

    def _putAway(self) -> None:
        self._isPutAway = True
        self._child.close()
        self._folder.cleanup()


class Service(Task):
    """A command that goes on after it has said its result, until it is stopped."""

    lifeline = True

    def poll(self) -> bool:
        if not self._hasEnded and self._child.returnCode() is None:
            for event in self._child.events():
                self._hear(event)
            if self._facts is None:
                return False
            self._hasEnded = True
            self._result = self._finish(self._facts)
        return super().poll()

    def stop(self) -> None:
        """End the child, and what it has served."""
        if not self._isPutAway:
            self._hasEnded = True
            self._putAway()


@contextmanager
def workFolder():
    """A folder that one user can read, for a task: gone with it, or at once after an error."""
    folder = tempfile.TemporaryDirectory(prefix="MedWatermark-", dir=slicer.app.temporaryPath)
    try:
        yield folder
    except BaseException:
        folder.cleanup()
        raise
