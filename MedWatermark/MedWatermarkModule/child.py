"""A child process that does what takes long: the command line of the library, with JSON lines.

Python threads starve in Slicer, so its lines go to a file that is read whenever the caller looks,
and nobody ever waits for it. Needs neither Qt nor a scene.
"""

import json
import os
import shutil
import signal
import subprocess
import time
import weakref
from contextlib import suppress
from pathlib import Path

from slicer.i18n import tr as _

# How long a cancelled child may take to put its files away before it is ended by force.
PATIENCE_S = 10


class CommandError(RuntimeError):
    """
    A command of the library failed. Its text was written for whoever uses the panel.

    kind - Name of the error's class in the library, such as ``WrongPasswordError``.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Child:
    """
    ``PythonSlicer -m MedWatermarkLib ... --json``, running.

    :param arguments: of the command line; never a secret, since all users of a machine see them.
    :param folder: of the caller's own, for what the child says.
    :param secret: lines for its standard input, such as a password.
    :param lifeline: whether standard input stays open until it is to end, or Slicer has ended.
    """

    def __init__(
        self, arguments: list, folder: Path, secret: str = "", lifeline: bool = False
    ) -> None:
        self._lines = folder / "lines.jsonl"
        self._complaint = folder / "complaint.txt"
        self._rest = b""
        self._deadline = None
        command = [python(), "-m", "MedWatermarkLib", *map(str, arguments), "--json"]
        with self._lines.open("wb") as lines, self._complaint.open("wb") as complaint:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=lines,
                stderr=complaint,
                cwd=folder,
                env=environment(),
                **_apart(),
            )
        # Should nobody close it, it goes with this process at the latest.
        weakref.finalize(self, _end, self._process)
        self._reader = self._lines.open("rb")
        try:
            self._process.stdin.write(secret.encode())
            self._process.stdin.flush()
            if not lifeline:
                self._process.stdin.close()
        except OSError:  # It has ended already, and has said why.
            pass

    def events(self) -> list[dict]:
        """What the child has said since this was asked last."""
        *lines, self._rest = (self._rest + self._reader.read()).split(b"\n")
        return [json.loads(line) for line in lines]

    def returnCode(self) -> int | None:
        """With what it ended, or None while it runs, or the Python that it launched."""
        code = self._process.poll()
        if code is None:
            return None
        self._deadline = self._deadline or time.monotonic() + PATIENCE_S
        return None if _runs(self._process) and time.monotonic() < self._deadline else code

    def complaint(self) -> str:
        """What it said beside its lines, which it does when it was called wrongly."""
        return self._complaint.read_text(encoding="utf-8", errors="replace").strip()

    def cancel(self) -> None:
        """Ask it to end, and leave no file behind."""
        _end(self._process)

    def close(self) -> None:
        """Have it ended, by force if it must be."""
        self.cancel()
        end = time.monotonic() + PATIENCE_S
        while self.returnCode() is None and time.monotonic() < end:
            time.sleep(0.02)
        if _runs(self._process):
            _kill(self._process)
        self._process.wait()
        with suppress(OSError):  # It ended before it had read all.
            self._process.stdin.close()
        self._reader.close()


def python() -> str:
    """
    Slicer's own Python, as ``slicer.util.executePythonModule`` finds it.

    :raises CommandError: if it is not there.
    """
    found = shutil.which("PythonSlicer")
    if found is None:
        raise CommandError(
            "PythonNotFoundError",
            _("Slicer's own Python (PythonSlicer) was not found; install Slicer anew."),
        )
    return found


def environment() -> dict[str, str]:
    """Slicer's environment, with the library: beside the module, or in a checkout one folder up."""
    place = Path(__file__).resolve().parents[1]
    if not (place / "MedWatermarkLib").is_dir():
        place = place.parent
    path = os.pathsep.join(filter(None, [str(place), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1"}


def _end(process: subprocess.Popen) -> None:
    """Ask a process to end, with all that it started."""
    if process.poll() is not None:
        return
    if os.name == "nt":
        # PythonSlicer is a launcher: the tree below it has to go with it.
        tree = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
        subprocess.run(tree, capture_output=True, check=False, **_apart())
    else:
        _signal(process, signal.SIGTERM)


def _runs(process: subprocess.Popen) -> bool:
    """
    Whether a process runs, or one that it started.

    PythonSlicer is a launcher that dies of a signal at once, and the Python that it launched puts
    its files away first.
    """
    return process.poll() is None or (os.name != "nt" and _signal(process, 0))


def _kill(process: subprocess.Popen) -> None:
    """End a process by force, with all that it started."""
    if os.name == "nt":
        process.kill()
    else:
        _signal(process, signal.SIGKILL)


def _signal(process: subprocess.Popen, number: int) -> bool:
    """Send a signal to a process and what it started; false if none of them is left."""
    try:
        os.killpg(process.pid, number)
    except OSError:  # macOS has one more kind for those that ended and were not waited for
        return False
    return True


def _apart() -> dict:
    """So that the child has no console, and can be ended with what it started."""
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}
