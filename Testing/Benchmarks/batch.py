"""Many scans at once: throughput, memory, killed runs, and registration in bulk.

Run from the root of the project, on a computer that does nothing else:

    python Testing/Benchmarks/batch.py --output batch.json

Scans are made up: heads with noise, each another one, as DICOM. *One process* is the same engine
with ``--workers 0``, with as many threads as the kernels take by default, and with one. All runs go
by one plan, so their outputs must be the same in every byte. Memory is what all processes of a run
hold together, each page once for each process (RSS).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pydicom
from pydicom.uid import generate_uid

from MedWatermarkLib.account import create_key_file
from MedWatermarkLib.batch_path import batch_path_from_text
from MedWatermarkLib.batch_task import digest

sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[1] / "Ledger"))
sys.path.append(str(Path(__file__).parents[1] / "Library"))
from anvil import run_anvil
from instances import ct_instance
from phantoms import head

PASSWORD = "only for the benchmark"
DIAGNOSIS = "No acute intracranial haemorrhage; old lacunar infarct, left."
SHORT = "No finding."
MODULE = [sys.executable, "-m", "MedWatermarkLib"]


def write_archive(folder: Path, numbers: range, slices: int, size: int) -> None:
    """Write scans of one anatomy, each with noise of its own."""
    base = head(slices, size, size)
    for number in numbers:
        noise = np.random.default_rng(number).normal(0, 5, base.shape)
        voxels = np.rint(np.where(base > -500, base + noise, base)).astype(np.int16)
        series, study, frame_of_reference = (generate_uid() for _ in range(3))
        place = folder / f"{number:04d}"
        place.mkdir(parents=True)
        for index, pixels in enumerate(voxels):
            instance = ct_instance(pixels, index)
            instance.SeriesInstanceUID = series
            instance.StudyInstanceUID = study
            instance.FrameOfReferenceUID = frame_of_reference
            instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
            pydicom.dcmwrite(place / f"{index:04d}.dcm", instance, enforce_file_format=True)


@dataclass
class Command:
    """A command of ``batch`` in a process of its own, watched."""

    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    peak: int = 0

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        self.output = tempfile.TemporaryFile("w+")  # noqa: SIM115 (a pipe would fill)
        self.process = subprocess.Popen(
            [*MODULE, *self.arguments, "--json"],
            stdout=self.output,
            env={**os.environ, "MEDWATERMARK_PASSWORD": PASSWORD, **self.environment},
        )

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes that do the work."""
        with suppress(psutil.Error):
            children = psutil.Process(self.process.pid).children()
            return [one for one in children if "spawn_main" in " ".join(one.cmdline())]
        return []

    def watch(self) -> None:
        """Note how much memory all its processes hold now."""
        with suppress(psutil.Error):
            own = psutil.Process(self.process.pid)
            held = sum(one.memory_info().rss for one in [own, *own.children(recursive=True)])
            self.peak = max(self.peak, held)

    def wait(self, until: float = float("inf")) -> bool:
        """Watch it until it ends, or until a time; tell whether it has ended."""
        while self.process.poll() is None and time.monotonic() < until:
            self.watch()
            time.sleep(0.1)
        return self.process.poll() is not None

    def said(self) -> str:
        """Return the last it said."""
        self.output.seek(0)
        return self.output.read()[-2000:]

    def result(self) -> dict[str, Any]:
        """Wait for its result."""
        self.wait()
        self.seconds = time.monotonic() - self.began
        self.output.seek(0)
        last = json.loads(self.output.read().splitlines()[-1])
        assert last["event"] == "result", last
        return last


def lines(run: Path) -> dict[str, dict[str, Any]]:
    """Lines of results by name; no name may have two."""
    path = run / "results.jsonl"
    found = [json.loads(one) for one in path.read_text().splitlines()] if path.exists() else []
    assert len({one["name"] for one in found}) == len(found)
    return {one["name"]: one for one in found}


def digests(run: Path) -> dict[str, dict[str, str]]:
    return {name: line["digests"] for name, line in lines(run).items()}


def check_whole(run: Path) -> None:
    """Check that every file is as its line says, and that there is no other."""
    for line in lines(run).values():
        for kind, path in line["paths"].items():
            assert digest(run / path) == line["digests"][kind], path
    found = {str(one.relative_to(run)) for one in run.glob("*/*") if ".part" not in str(one)}
    assert found == {path for line in lines(run).values() for path in line["paths"].values()}


def begun_as(first: Path, run: Path) -> Path:
    run.mkdir(mode=0o700)
    shutil.copy(first / "plan.json", run)
    return run


def core_seconds() -> float:
    """Return what processes that were started here, and have ended, took of the cores."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def throughput(
    folder: Path, embed: list[str], scans: tuple[int, int], memory: float
) -> dict[str, Any]:
    """Mark the archive with workers, and it or its first part in one process; compare.

    `scans` are how many there are, and in the first part.
    """
    figures: dict[str, Any] = {}
    first = folder / "workers"
    archive, part = embed[2], str(Path(embed[2], "first"))
    ways = {
        "2 workers": (first, archive, ["--workers", "2", "--memory", str(memory)], {}),
        "1 process": (folder / "one", part, ["--workers", "0"], {}),
        "1 process, 1 thread": (
            folder / "thread",
            part,
            ["--workers", "0"],
            {"NUMBA_NUM_THREADS": "1"},
        ),
    }
    for name, (run, source, options, environment) in ways.items():
        if run != first:
            begun_as(first, run)
        command = Command([*embed[:2], source, str(run), *embed[3:], *options], environment)
        count = scans[source == part]
        load, before = os.getloadavg()[0], core_seconds()
        assert command.result()["outcomes"] == {"marked": count}
        seconds = [line["seconds"] for line in lines(run).values()]
        figures[name] = {
            "scans": count,
            "seconds": round(command.seconds, 1),
            "scans_per_minute": round(60 * count / command.seconds, 2),
            # Of all processes, with their start: what other programs do changes it little.
            "core_seconds_of_a_scan": round((core_seconds() - before) / count, 3),
            "median_seconds_of_a_scan": round(float(np.median(seconds)), 3),
            "peak_memory_mb": round(command.peak / 1e6),
            # More than this run's own say that other programs had a part of the computer.
            "load_before_and_after": [round(load, 1), round(os.getloadavg()[0], 1)],
        }
        print(name, figures[name], flush=True)
        expected = digests(first)
        assert digests(run) == {one: expected[one] for one in lines(run)}
        check_whole(run)
        if run != first:
            shutil.rmtree(run)
    for name in list(ways)[1:]:
        ratio = figures["2 workers"]["scans_per_minute"] / figures[name]["scans_per_minute"]
        figures[f"2 workers to {name}"] = round(ratio, 2)
    return figures


def killed(
    folder: Path, embed: list[str], scans: int, memory: float, kills: tuple[int, int], pace: float
) -> dict[str, Any]:
    """Kill the run, and workers, at random times; then let it end, and compare all bytes."""
    runs, workers = kills
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    first, run = folder / "workers", begun_as(folder / "workers", folder / "killed")
    command_line = [*embed[:3], str(run), *embed[3:], "--workers", "2", "--memory", str(memory)]
    plan = ["run"] * runs + ["worker"] * workers
    chance.shuffle(plan)
    # So many scans are done at least when it is killed: kills are spread over the run.
    thresholds = sorted(chance.randrange(scans * 4 // 5) for _ in plan)
    done_at = []
    command = Command(command_line)
    started = time.monotonic()
    for what, threshold in zip(plan, thresholds, strict=True):
        while done_in(run) < threshold:
            assert not command.wait(time.monotonic() + 0.1), command.said()
        assert not command.wait(time.monotonic() + chance.uniform(0, pace)), command.said()
        if what == "worker":
            while not (found := command.workers):
                assert not command.wait(time.monotonic() + 0.2), command.said()
            with suppress(psutil.Error):
                chance.choice(found).kill()
        else:
            command.process.send_signal(signal.SIGKILL)
            command.process.wait()
            command = Command(command_line)
        done_at.append(done_in(run))
    assert command.result()["outcomes"] == {"marked": scans}
    assert digests(run) == digests(first)
    check_whole(run)
    figures = {
        "seed": seed,
        "killed": dict(Counter(plan)),
        "scans_done_at_kills": done_at,
        "seconds": round(time.monotonic() - started, 1),
    }
    shutil.rmtree(run)
    return figures


def done_in(run: Path) -> int:
    path = run / "results.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def registration(folder: Path, records: int) -> dict[str, Any]:
    """Mark many small scans, register them in one transaction, and verify each alone."""
    archive, run = folder / "small", folder / "run"
    write_archive(archive, range(records), 2, 168)
    keys = {name: folder / f"{name}.json" for name in ("doctor", "hospital", "administrator")}
    address = {name: create_key_file(file, PASSWORD, iterations=2) for name, file in keys.items()}
    environment = {"XDG_STATE_HOME": str(folder / "state")}
    figures: dict[str, Any] = {}

    def command(*arguments: object) -> Command:
        return Command([str(one) for one in arguments], environment)

    with run_anvil() as node:
        node.fund(address["hospital"], 100)
        node.fund(address["administrator"], 100)
        toml, administrator = folder / "ledger.toml", ("--key-file", keys["administrator"])
        command("ledger", "deploy", toml, "--url", node.url, *administrator).result()
        period = ("--from", "2020-01-01", "--until", "2120-01-01", "--ledger", toml)
        accredit = ("accredit", address["hospital"], address["doctor"], *period, *administrator)
        command("ledger", *accredit).result()
        signer = ("--key-file", keys["doctor"], "--diagnosis", SHORT)
        command("batch", "embed", archive, run, *signer).result()
        sender = ("--key-file", keys["hospital"], "--signer-key-file", keys["doctor"])
        register = command("batch", "register", run, "--ledger", toml, *sender)
        (batch,) = register.result()["batches"]
        assert node.web3().eth.get_transaction_count(address["hospital"]) == 1
        for line in lines(run).values():
            assert batch_path_from_text((run / line["batch_path"]).read_text()).holds()
        verify = command("batch", "verify", run, folder / "verified", "--ledger", toml)
        assert verify.result()["outcomes"] == {"passed": records}
        figures = {
            "records": batch["records"],
            "gas": batch["gas"],
            "gas_per_record": round(batch["gas"] / records, 1),
            "seconds_to_register": round(register.seconds, 1),
            "peak_memory_mb": round(register.peak / 1e6),
            "seconds_to_verify": round(verify.seconds, 1),
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scans", type=int, default=200)
    parser.add_argument("--one-process", type=int, help="scans that it is given; else all")
    parser.add_argument("--slices", type=int, default=64)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--memory", type=float, default=3.0, help="GB, for the workers")
    parser.add_argument("--kills", type=int, nargs=2, default=(10, 5), help="of runs, of workers")
    parser.add_argument("--records", type=int, default=1_000)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--folder", type=Path, help="where there is room; else a temporary one")
    options = parser.parse_args()
    figures: dict[str, Any] = {
        "scans": options.scans,
        "shape": [options.slices, options.size, options.size],
        "memory_budget_mb": round(options.memory * 1e3),
        "cores": os.cpu_count(),
    }
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        if options.scans:
            archive, key_file = folder / "archive", folder / "key.json"
            one, shape = options.one_process or options.scans, (options.slices, options.size)
            write_archive(archive / "first", range(one), *shape)
            write_archive(archive / "rest", range(one, options.scans), *shape)
            create_key_file(key_file, PASSWORD, iterations=2)
            embed = ["batch", "embed", str(archive), "--key-file", str(key_file)]
            embed += ["--diagnosis", DIAGNOSIS]
            figures["throughput"] = throughput(folder, embed, (options.scans, one), options.memory)
            pace = figures["throughput"]["2 workers"]["seconds"] / options.scans
            figures["killed"] = killed(
                folder, embed, options.scans, options.memory, tuple(options.kills), pace
            )
            print("killed", figures["killed"], flush=True)
        if options.records:
            (folder / "registration").mkdir()
            figures["registration"] = registration(folder / "registration", options.records)
            print("registration", figures["registration"], flush=True)
    if options.output:
        options.output.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
