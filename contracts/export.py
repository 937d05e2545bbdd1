"""Compile the contracts, and write what Python needs of them: ``python contracts/export.py``."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CONTRACTS = ("ImageRegistry", "FairExchange")
# Where a source lies on this machine is of no interest to others.
_SETTINGS = ("evmVersion", "metadata", "optimizer", "viaIR")


def export(folder: Path) -> None:
    """Write one file for each contract, the same bytes from the same source and compiler.

    Parameters
    ----------
    folder : pathlib.Path
        Where to; what is there is replaced.
    """
    with tempfile.TemporaryDirectory() as temporary:
        # Compiled anew, whatever an earlier build left behind.
        build = ("--out", f"{temporary}/out", "--cache-path", f"{temporary}/cache")
        forge = _toolchain().run("forge", "build", "src", *build)
        if forge.returncode:
            sys.exit(forge.stdout + forge.stderr)
        folder.mkdir(parents=True, exist_ok=True)
        for name in CONTRACTS:
            artifact = Path(temporary) / "out" / f"{name}.sol" / f"{name}.json"
            content = _essence(name, json.loads(artifact.read_bytes()))
            part = folder / f".{name}.json.part"
            part.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            os.replace(part, folder / f"{name}.json")


def _essence(name: str, artifact: dict[str, Any]) -> dict[str, Any]:
    metadata = artifact["metadata"]
    return {
        "name": name,
        "abi": sorted(artifact["abi"], key=lambda item: (item["type"], item.get("name", ""))),
        "bytecode": artifact["bytecode"]["object"],
        "deployedBytecode": artifact["deployedBytecode"]["object"],
        "compiler": {
            "name": "solc",
            "version": metadata["compiler"]["version"],
            "settings": {key: metadata["settings"][key] for key in _SETTINGS},
        },
    }


def _toolchain() -> Any:
    sys.path.insert(0, str(ROOT / "Testing"))
    import toolchain

    return toolchain


if __name__ == "__main__":
    export(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "MedWatermarkLib" / "abi")
