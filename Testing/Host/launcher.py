"""``python launcher.py OPTIONS -- ARGUMENTS``: the host, started with the options of Slicer.

Mirrors ``Base/QTCore/qSlicerCoreCommandOptions.cxx``, ``qSlicerCoreApplication.cxx``
(``handleCommandLineArguments``), ``Base/QTApp/qSlicerApplicationHelper.hxx`` and of CTK
``ctkAbstractPythonManager.cpp``: a process with Slicer's exit code. As in Slicer, a script that
neither exits nor runs with ``--testing`` leaves the application running.
"""

import os
import re
import sys
import traceback
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import application
import measured  # noqa: F401 (before what is measured)


def parse(words):
    """Options and what is left for the script, as ``ctkCommandLineParser`` divides them."""
    options = {"script": "", "code": "", "paths": [], "flags": set()}
    rest = []
    words = list(words)
    while words:
        word = words.pop(0)
        if word == "--":
            rest += words
            break
        if word == "--python-script":
            options["script"] = words.pop(0)
        elif word == "--python-code":
            options["code"] = words.pop(0)
        elif word in ("--additional-module-path", "--additional-module-paths"):
            while words and not words[0].startswith("-"):
                options["paths"].append(words.pop(0))
        elif word in ("--no-main-window", "--no-splash", "--testing") or word.startswith(
            "--disable-"
        ):
            options["flags"].add(word)
        else:
            rest.append(word)
    return options, rest


def load_modules(folder):
    """Load each file that is a scripted module; others lie there as libraries."""
    for path in sorted(Path(folder).glob("*.py")):
        base = rf"^class {re.escape(path.stem)}\(.*ScriptedLoadableModule.*\)"
        if re.search(base, path.read_text(encoding="utf-8"), re.MULTILINE):
            application.load_module(path)


def run_file(path):
    """Execute a script in ``__main__``; its folder is on the path only meanwhile."""
    folder = os.path.dirname(os.path.abspath(path))
    sys.path.insert(0, folder)
    names = sys.modules["__main__"].__dict__
    names["__file__"] = path
    try:
        exec(compile(Path(path).read_text(encoding="ascii"), path, "exec"), names)
    finally:
        sys.path.remove(folder)


def main():
    options, rest = parse(sys.argv[1:])
    app = application.start(main_window="--no-main-window" not in options["flags"])
    app.set_testing("--testing" in options["flags"])
    sys.argv = [options["script"], *rest]

    for folder in options["paths"]:
        load_modules(folder)

    def handle_command_line():
        commands = app.commandOptions()
        commands.runPythonAndExit = app.testingEnabled()
        failed = False
        try:
            if options["script"]:
                run_file(options["script"])
            if options["code"]:
                exec(options["code"], sys.modules["__main__"].__dict__)
        except SystemExit as leaving:  # qSlicerCoreApplication::terminate
            commands.runPythonAndExit = False
            app.exit(leaving.code or 0)
        except BaseException:
            traceback.print_exc()
            failed = True
        if commands.runPythonAndExit:
            app.exit(int(failed))

    import qt

    app.startupCompleted.emit()
    qt.QTimer.singleShot(0, handle_command_line)
    return app.exec_()


if __name__ == "__main__":
    sys.exit(main())
