"""How fast a scan becomes what is sold, and what was sold a scan, in MB/s (10^6 bytes).

Run from the root of the project:

    python Testing/Benchmarks/exchange.py [turns] [--json]

One process, files in the page cache, ct-head-philips: marked, de-identified, 140 DICOM files.
*There* is reading it, packing, sealing, the cipher of a sale, both trees. *Back* is checking the
file of the sale against its root, taking the cipher off, checking each chunk, opening the seal,
unpacking with all hashes, and reading the scan. All figures are medians of turns taken in one run.
Processor time, of all threads together, tells what a machine would do that has nothing else to do.
The unit is `tar` and `sha256sum` of the same files, and of the way back the same with the file.
Memory is the greatest that the process had resident in a turn before these, with nothing compiled
or loaded yet, above its libraries and above the volume itself.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from eth_account import Account
from scans import DIAGNOSIS, FOLDER

from MedWatermarkLib.claim import Claim
from MedWatermarkLib.deidentified import Request, deidentify
from MedWatermarkLib.imageio import read_volume, write_volume
from MedWatermarkLib.keystream import new_key
from MedWatermarkLib.package import new_mark_key
from MedWatermarkLib.sale_file import (
    check_sale_file,
    decipher_sale_file,
    leaves_tree,
    write_sale_file,
)
from MedWatermarkLib.scan import mark_scan
from MedWatermarkLib.sealed_package import read_sealed_package, write_sealed_package
from MedWatermarkLib.sealing import Identity
from MedWatermarkLib.volume import Volume

SERIES, TURNS, MEGABYTE = "ct-head-philips", 5, 10**6

Steps = dict[str, Callable[[], object]]


class Sale:
    """A scan on its way to a recipient and back, each time in a new folder."""

    def __init__(self, image: Path, claim: Claim) -> None:
        self._image, self._claim = image, claim
        self._mark_key, self._key = new_mark_key(), new_key()
        self._content = Identity.generate()
        self._folder = tempfile.TemporaryDirectory(dir=image.parent)

    def _place(self, name: str) -> Path:
        return Path(self._folder.name) / name

    def clear(self) -> None:
        self._folder.cleanup()
        self._folder = tempfile.TemporaryDirectory(dir=self._image.parent)

    def pack(self) -> None:
        self._sealed = write_sealed_package(
            self._image,
            self._claim,
            self._place("package.age"),
            self._content,
            mark_key=self._mark_key,
        )

    def encrypt(self) -> None:
        self._tree = write_sale_file(self._place("package.age"), self._place("sale"), self._key)
        self._place("leaves").write_bytes(self._sealed.tree.leaves.tobytes())

    def check(self) -> None:
        size = self._sealed.size
        check_sale_file(self._place("sale"), size, self._tree.root)
        leaves = self._place("leaves").read_bytes()
        self._leaves = leaves_tree(leaves, self._sealed.tree.root, size)

    def decrypt(self) -> None:
        arguments = self._place("received.age"), self._key, self._sealed.size, self._leaves
        decipher_sale_file(self._place("sale"), *arguments)

    def unpack(self) -> None:
        folder = self._place("received")
        self._received = read_sealed_package(self._place("received.age"), self._content, folder)

    def read(self) -> Volume:
        return read_volume(self._received.image)

    @property
    def there(self) -> Steps:
        return {
            "read, pack, seal, tree": self.pack,
            "cipher of the sale, its tree": self.encrypt,
        }

    @property
    def back(self) -> Steps:
        return {
            "check the file of the sale": self.check,
            "take the cipher off, check": self.decrypt,
            "open, unpack, check": self.unpack,
            "read the scan": self.read,
        }

    def reference_there(self) -> None:
        _tar_and_hash(self._image, self._place("there.tar"))

    def reference_back(self) -> None:
        _tar_and_hash(self._place("received/image"), self._place("back.tar"))


def _tar_and_hash(folder: Path, archive: Path) -> None:
    subprocess.run(["tar", "-cf", archive, "-C", folder.parent, folder.name], check=True)
    subprocess.run(["sha256sum", archive], check=True, stdout=subprocess.DEVNULL)
    archive.unlink()


def _seconds(action: Callable[[], object]) -> tuple[float, float]:
    """Return how long it takes, and how long this process was at work for it."""
    start, worked = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - start, time.process_time() - worked


def _memory(field: str) -> int:
    """Bytes that Linux tells of this process: VmRSS, or VmHWM, the greatest since `_forget`."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+) kB", status).group(1)) * 1024  # type: ignore[union-attr]


def _forget() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak(steps: Steps, size: int) -> float:
    """Return by how many MB the memory grew at most, above the volume."""
    before = _memory("VmRSS")
    _forget()
    for step in steps.values():
        step()
    return (_memory("VmHWM") - before - size) / MEGABYTE


def _marked(folder: Path) -> tuple[Path, Claim, int]:
    """Write the series marked and de-identified."""
    request = Request(pixels_checked=True)
    deidentify(FOLDER / SERIES, folder / "clean", request, None, lambda share: None)
    marked = mark_scan(read_volume(folder / "clean"), DIAGNOSIS, Account.from_key(b"\x42" * 32))
    write_volume(marked.volume, folder / "marked")
    return folder / "marked", marked.claim, marked.volume.voxels.nbytes


def measure(turns: int) -> dict[str, object]:
    """Return all figures."""
    with tempfile.TemporaryDirectory() as name:
        # In a process of its own, so that its memory is not taken for a base.
        with ProcessPoolExecutor(1, get_context("spawn")) as other:
            image, claim, size = other.submit(_marked, Path(name)).result()
        sale = Sale(image, claim)
        peaks = {"there": _peak(sale.there, size), "back": _peak(sale.back, size)}
        times: dict[str, list[tuple[float, float]]] = {}
        for _ in range(turns):
            sale.clear()
            steps = sale.there | sale.back
            steps |= {"tar there": sale.reference_there, "tar back": sale.reference_back}
            for step, action in steps.items():
                times.setdefault(step, []).append(_seconds(action))
        ways = {"there": list(sale.there), "back": list(sale.back)}
    medians, worked = (
        {step: statistics.median(pair[kind] for pair in pairs) for step, pairs in times.items()}
        for kind in (0, 1)
    )
    return {
        "series": SERIES,
        "megabytes": size / MEGABYTE,
        "turns": turns,
        "steps": {step: size / MEGABYTE / medians[step] for way in ways.values() for step in way},
        "ways": {
            way: {
                "MB/s": size / MEGABYTE / sum(medians[step] for step in steps),
                "MB/s of processor time": size / MEGABYTE / sum(worked[step] for step in steps),
                "of tar + sha256sum": sum(medians[step] for step in steps) / medians[f"tar {way}"],
                "MB above the volume": peaks[way],
            }
            for way, steps in ways.items()
        },
    }


def main() -> None:
    """Measure, and print a table in Markdown, or JSON."""
    numbers = [argument for argument in sys.argv[1:] if argument.isdigit()]
    found = measure(int(numbers[0]) if numbers else TURNS)
    if "--json" in sys.argv:
        print(json.dumps(found, indent=1))
        return
    print(f"{found['series']}, {found['megabytes']:.0f} MB, medians of {found['turns']} turns\n")
    print("| | MB/s | of processor time | time, of tar + sha256sum | MB above the volume |")
    print("| --- | --- | --- | --- | --- |")
    for way, figures in found["ways"].items():  # type: ignore[attr-defined]
        speed, worked, ratio, memory = figures.values()
        print(f"| {way} | {speed:.0f} | {worked:.0f} | {ratio:.1f} | {memory:.0f} |")
    print()
    for step, speed in found["steps"].items():  # type: ignore[attr-defined]
        print(f"- {step}: {speed:.0f} MB/s")


if __name__ == "__main__":
    main()
