"""What is done with one of many scans, wherever a worker does it.

Each task ends in a line of results, also where it fails. What it makes is written beside its place
and moved there when all of it is whole. A scan may be worked on twice at a time (a worker that was
given up may be alive): what comes out is the same in every byte, so whoever is last changes
nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import typer
from eth_account.signers.local import LocalAccount

from MedWatermarkLib.deidentified import Request
from MedWatermarkLib.dicom_series import Series
from MedWatermarkLib.imageio import list_series
from MedWatermarkLib.marking import Marking, mark_file, restore_file
from MedWatermarkLib.report import Findings, sentence_of, warnings_told
from MedWatermarkLib.results import FAILED, Line
from MedWatermarkLib.scratch import scratch
from MedWatermarkLib.stamp import Stamp
from MedWatermarkLib.strength import Strength
from MedWatermarkLib.tiles import TileLeaves
from MedWatermarkLib.verification import Evidence, verify_file
from MedWatermarkLib.worklist import Item

_IMAGE_SUFFIXES = (".nii.gz", ".nrrd", ".nhdr", ".nii", ".mha", ".mhd")
# The kernels' threads and Python's list of warnings belong to the whole process.
_ONE_AT_A_TIME = Lock()


class Places:
    """Where the files of a scan go, and where they are written before.

    Parameters
    ----------
    run : pathlib.Path
        Folder of the run.
    parts : pathlib.Path
        New folder on the same file system.
    """

    def __init__(self, run: Path, parts: Path) -> None:
        self._run, self._parts = run, parts
        self._places: dict[str, Path] = {}

    def new(self, kind: str, folder: str, name: str) -> Path:
        """Return where to write a file or folder that shall be at `folder`/`name` of the run."""
        self._places[kind] = Path(folder, name)
        (self._parts / folder).mkdir()
        return self._parts / folder / name

    def place(self) -> dict[str, dict[str, str]]:
        """Move all to their places; return these by their kinds, and the digests of the files."""
        digests = {}
        for kind, place in self._places.items():
            digests[kind] = digest(self._parts / place)
            (self._run / place.parent).mkdir(mode=0o700, exist_ok=True)
            _put(self._parts / place, self._run / place, digests[kind])
        return {
            "paths": {kind: place.as_posix() for kind, place in self._places.items()},
            "digests": digests,
        }


@dataclass(frozen=True)
class Task(ABC):
    """What to do with each scan."""

    command: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def has_secrets(self) -> bool:
        """Whether it holds what must not be read on a network."""

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What must stay the same in a run, by names for a person; of secrets a fingerprint."""

    def for_run(self, stamp: Stamp) -> Task:
        """Return the task for a run with this stamp."""
        return self

    @abstractmethod
    def perform(self, item: Item, name: str, stamp: Stamp, places: Places, report: Findings) -> str:
        """Work on a scan; return the outcome, and leave the figures in the report."""

    @abstractmethod
    def figures(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a line says of the facts of a result."""


@dataclass(frozen=True)
class Embed(Task):
    """Sign the diagnosis of a scan, and mark it.

    Attributes
    ----------
    account : eth_account.signers.local.LocalAccount
        Who signs.
    key : bytes
        Of the mark.
    strength : "diagnostic", "robust" or float
        A preset, or RMSE in rescaled units.
    deidentification : Request or None
        How it is to be de-identified, if it is.
    """

    command: ClassVar[str] = "embed"
    needs: ClassVar[tuple[str, ...]] = ("diagnosis",)
    account: LocalAccount = field(repr=False)
    key: bytes = field(default=b"", repr=False)
    strength: Strength = "diagnostic"
    deidentification: Request | None = None

    @property
    def has_secrets(self) -> bool:  # noqa: D102
        return True

    @property
    def settings(self) -> dict[str, Any]:  # noqa: D102
        request = self.deidentification
        return {
            "signer": self.account.address,
            "mark key": _fingerprint(self.key),
            "strength": self.strength,
            "de-identification": request is not None,
            "pseudonym key": _fingerprint(request.key if request else b""),
        }

    def for_run(self, stamp: Stamp) -> Embed:
        """Return the task with a key of pseudonyms, so that a patient has one in all the run."""
        request = self.deidentification
        if request is None or request.key:
            return self
        key = stamp.random(32, "pseudonyms")
        return replace(self, deidentification=replace(request, key=key))

    def perform(  # noqa: D102
        self, item: Item, name: str, stamp: Stamp, places: Places, report: Findings
    ) -> str:
        marking = Marking(
            diagnosis=item.diagnosis or "",
            account=self.account,
            key=self.key,
            copy=item.copy,
            strength=self.strength,
            exclude=None,
            series=item.series,
            quality=False,
            deidentification=self.deidentification,
            leaves=places.new("leaves", "leaves", name + ".leaves"),
            stamp=stamp,
        )
        output = places.new("output", "marked", name + _suffix(item.source))
        record = places.new("record", "restoration", name + ".restoration")
        mark_file(item.source, output, record, marking, report)
        leaves = TileLeaves.from_bytes((marking.leaves or output).read_bytes())
        report.facts["voxel_root"] = leaves.root.hex()
        # By this it is known again when it comes back from an archive.
        series = [] if output.is_file() else list_series(output)
        report.facts["marked_series"] = series[0].uid if series else None
        return "marked"

    def figures(self, facts: Mapping[str, Any]) -> dict[str, Any]:  # noqa: D102
        names = "claim voxel_root keyed tag confidence rmse greatest_change psnr record_size"
        return {
            **{name: facts[name] for name in names.split()},
            "marked_series": facts["marked_series"],
            "slices": len(facts["slices"]),
            "slices_with_claim": sum(bool(one["message"]) for one in facts["slices"]),
            "deidentified": "deidentified" in facts,
        }


@dataclass(frozen=True)
class Verify(Task):
    """Make all checks on a scan.

    Attributes
    ----------
    key : bytes
        Of the mark.
    ledger : pathlib.Path or None
        File that says where the ledger is.
    pages : bool
        Whether a page is to be written of each.
    """

    command: ClassVar[str] = "verify"
    key: bytes = field(default=b"", repr=False)
    ledger: Path | None = None
    pages: bool = False

    @property
    def has_secrets(self) -> bool:  # noqa: D102
        return bool(self.key)

    @property
    def settings(self) -> dict[str, Any]:  # noqa: D102
        ledger = None if self.ledger is None else str(self.ledger)
        return {
            "mark key": _fingerprint(self.key),
            "ledger": ledger,
            "choice of --html": self.pages,
        }

    def perform(  # noqa: D102
        self, item: Item, name: str, stamp: Stamp, places: Places, report: Findings
    ) -> str:
        evidence = Evidence(
            self.key,
            self.ledger,
            # Without a ledger nothing says that they are the right ones.
            leaves=item.leaves if self.ledger else None,
            record=item.record,
            batch_path=item.batch_path if self.ledger else None,
            series=item.series,
            page=places.new("page", "pages", name + ".html") if self.pages else None,
        )
        try:
            verify_file(item.source, evidence, report)
        except typer.Exit:
            return "not passed"
        return "passed"

    def figures(self, facts: Mapping[str, Any]) -> dict[str, Any]:  # noqa: D102
        names = "headline checks claim voxel_root belongs_to_voxels tag registration"
        return {name: facts[name] for name in names.split()}


@dataclass(frozen=True)
class Restore(Task):
    """Take the mark out of a scan.

    Attributes
    ----------
    key : bytes
        Of the mark.
    """

    command: ClassVar[str] = "restore"
    needs: ClassVar[tuple[str, ...]] = ("record",)
    key: bytes = field(default=b"", repr=False)

    @property
    def has_secrets(self) -> bool:  # noqa: D102
        return bool(self.key)

    @property
    def settings(self) -> dict[str, Any]:  # noqa: D102
        return {"mark key": _fingerprint(self.key)}

    def perform(  # noqa: D102
        self, item: Item, name: str, stamp: Stamp, places: Places, report: Findings
    ) -> str:
        output = places.new("output", "restored", name + _suffix(item.source))
        record = item.record or Path()
        restore_file(item.source, output, record, self.key, item.series, report, stamp)
        return "restored"

    def figures(self, facts: Mapping[str, Any]) -> dict[str, Any]:  # noqa: D102
        return {name: facts[name] for name in ("exact", "image_hash", "claim")}


@dataclass(frozen=True)
class Job:
    """A task on one scan, as it is handed to a worker.

    Attributes
    ----------
    task : Task
    item : Item
    name : str
        What its results are called.
    stamp : Stamp
        Of what is made.
    run : pathlib.Path
        Folder of the run, as every worker knows it.
    """

    task: Task
    item: Item
    name: str
    stamp: Stamp
    run: Path

    def line(self, outcome: str, **members: Any) -> Line:
        """Return a line of results."""
        source = self.item.source
        series = source.uid if isinstance(source, Series) else self.item.series
        path = source.paths[0].parent if isinstance(source, Series) else source
        head = {"name": self.name, "outcome": outcome, "path": str(path), "series": series}
        return {**head, "copy": self.item.copy, **members}


def perform(job: Job) -> Line:
    """Do a job; an error becomes the line's."""
    found = Findings()
    began = time.monotonic()
    try:
        with (
            _ONE_AT_A_TIME,
            warnings_told(found),
            scratch(job.run / job.name) as parts,
        ):
            places = Places(job.run, parts)
            outcome = job.task.perform(job.item, job.name, job.stamp, places, found)
            placed = places.place()
    except Exception as error:
        members: dict[str, Any] = {"error": sentence_of(error), "kind": type(error).__name__}
        outcome = FAILED
    else:
        members = {**job.task.figures(found.facts), **placed}
    seconds = round(time.monotonic() - began, 3)
    return job.line(outcome, **members, warnings=found.warnings, seconds=seconds)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder: of its files' names and digests, in order."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    whole = hashlib.sha256()
    for one in sorted(one for one in path.rglob("*") if one.is_file()):
        whole.update(f"{digest(one)}  {one.relative_to(path).as_posix()}\n".encode())
    return whole.hexdigest()


def _fingerprint(secret: bytes) -> str | None:
    """Return what tells two secrets apart, and little of either; None of none."""
    return hashlib.sha256(b"MedWatermark" + secret).hexdigest()[:8] if secret else None


def _put(new: Path, place: Path, known: str) -> None:
    """Move a file or folder to its place, and at no time leave nothing where it lay whole."""
    if new.is_file():
        os.replace(new, place)
        return
    try:
        os.replace(new, place)
    except OSError:
        if not place.is_dir():
            raise
        if digest(place) == known:
            return
        # Of a scan that was changed since a crash.
        old = new.with_name(new.name + ".old")
        os.replace(place, old)
        os.replace(new, place)
        shutil.rmtree(old, ignore_errors=True)


def _suffix(source: Path | Series) -> str:
    """Return the suffix of a format that can hold a scan as its source does; "" for DICOM."""
    if isinstance(source, Path):
        for suffix in _IMAGE_SUFFIXES:
            if source.name.lower().endswith(suffix):
                # Of a format in two files the one in one file.
                return {".nhdr": ".nrrd", ".mhd": ".mha"}.get(suffix, suffix)
    return ""
