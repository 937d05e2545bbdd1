"""How long the checks take, in units of a plain DCT of the volume; and that each fails alone.

Run from the root of the project:

    python Testing/Benchmarks/verify.py [speed | checks]

`speed`: `verify` of ct-head-philips with its tile leaves and no network, unaltered and altered, as
in `speed.py` (medians of turns taken in one run). `checks`: scans made of ct-head-ge, each of which
fails one of the five checks, on a chain in this process with the real contracts. Without an
argument: both.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import scipy.fft
from eth_account import Account
from eth_account.signers.local import LocalAccount
from scans import DIAGNOSIS, scan

from MedWatermarkLib.claim import Claim
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.record import Record
from MedWatermarkLib.restoration import Restoration
from MedWatermarkLib.scan import embed_message, mark_scan
from MedWatermarkLib.tag import message_id
from MedWatermarkLib.tiles import tile_leaves
from MedWatermarkLib.verification_page import verification_page
from MedWatermarkLib.verification_report import Outcome
from MedWatermarkLib.verify import verify
from MedWatermarkLib.volume import Volume

TURNS, DAY = 7, 86_400


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def speed() -> None:
    account = Account.from_key(b"\x42" * 32)
    marked = mark_scan(scan("ct-head-philips"), DIAGNOSIS, account)
    volume, leaves = marked.volume, tile_leaves(marked.volume)
    voxels = volume.voxels.copy()
    voxels[60:80, 240:272, 240:272] = voxels[60:80, 300:332, 240:272]
    altered = volume.with_voxels(voxels)
    blocks = np.random.default_rng(0).normal(0, 100, (voxels.size // 64, 8, 8)).astype(np.float32)

    def transform() -> None:
        there = scipy.fft.dctn(blocks, axes=(1, 2), norm="ortho", workers=2)
        scipy.fft.idctn(there, axes=(1, 2), norm="ortho", workers=2)

    report = verify(altered, leaves=leaves)
    actions: dict[str, Callable[[], object]] = {
        "dctn + idctn of all blocks": transform,
        "verify with leaves": lambda: verify(volume, leaves=leaves),
        "with leaves, altered": lambda: verify(altered, leaves=leaves),
        "with leaves and record": lambda: verify(
            volume, leaves=leaves, restoration=marked.restoration
        ),
        "from the mark alone": lambda: verify(volume),
        "page": lambda: verification_page(report),
    }
    turns: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(TURNS):
        for name, action in actions.items():
            turns[name].append(seconds(action))
    unit = statistics.median(turns["dctn + idctn of all blocks"])
    print(f"{voxels.shape} {voxels.dtype}; {report.checks[3].sentence}")
    for name, times in turns.items():
        median = statistics.median(times)
        print(f"{name:28s} {median / unit:6.2f} of the transform  ({median:.3f} s)")


Scan = tuple[Volume, Claim, bytes]


def with_claim(claim: Claim, volume: Volume, copy: int = 0) -> Scan:
    embedded = embed_message(volume, claim.to_text().encode(), copy=copy)
    record = Restoration.from_bytes(embedded.restoration)
    record = replace(record, slope=volume.slope, intercept=volume.intercept)
    return volume.with_voxels(embedded.voxels), claim, record.to_bytes()


def register(ledger: Ledger, scan: Scan) -> Record:
    volume, claim, _ = scan
    nothing = bytes(32)
    tag = message_id(claim.to_text().encode())
    root, institution = tile_leaves(volume).root, ledger.account.address
    record = Record(claim.commitment, claim.issued_at, tag, root, nothing, 0, nothing, institution)
    ledger.registry.register(record, claim.signature)
    return record


def signed(volume: Volume, ledger: Ledger, authority: LocalAccount) -> Scan:
    marked = mark_scan(volume, DIAGNOSIS, authority, issued_at=ledger.status().time)
    return marked.volume, marked.claim, marked.restoration


def checks() -> None:
    ledger = Ledger.embedded()
    assert ledger.chain is not None
    authority, now = ledger.chain.new_account(), ledger.status().time
    ledger.registry.accredit(ledger.account.address, authority.address, now - DAY, now + DAY)
    original = scan("ct-head-ge")
    good = signed(original, ledger, authority)
    register(ledger, good)
    revoked = signed(original, ledger, authority)
    ledger.registry.revoke(register(ledger, revoked).id)
    mirrored = original.with_voxels(original.voxels[:, :, ::-1].copy())
    transplanted = with_claim(good[1], mirrored)
    register(ledger, transplanted)
    foreign = original.with_voxels(embed_message(original, b"https://example.org").voxels)
    voxels = good[0].voxels.copy()
    voxels[14, 250, 250] += 1
    cases: dict[str, tuple[Volume, bytes | None]] = {
        "as registered": (good[0], good[2]),
        "1: no mark": (original, None),
        "2: a message that is no claim": (foreign, None),
        "3: a record that was revoked": (revoked[0], revoked[2]),
        "4: one voxel changed": (good[0].with_voxels(voxels), None),
        "4: a copy that nobody registered": with_claim(good[1], original, 9)[::2],
        "5: the claim of another scan": transplanted[::2],
    }
    for name, (volume, restoration) in cases.items():
        report = verify(volume, ledger=ledger, restoration=restoration)
        failed = [n for n, c in enumerate(report.checks, 1) if c.outcome is Outcome.FAILED]
        right = failed == ([] if name[0] == "a" else [int(name[0])])
        outcomes = ", ".join(check.outcome.value for check in report.checks)
        print(f"{name:34s} {outcomes}: {'right' if right else 'WRONG'}")


if __name__ == "__main__":
    parts = {"speed": speed, "checks": checks}
    for part in sys.argv[1:] or parts:
        parts[part]()
