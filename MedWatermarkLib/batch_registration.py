"""Registering what a run has marked: all of its records under one root, in one transaction.

What is signed is written down before it is sent, so that whatever happens then, the same batch is
sent again and no other: the registry takes it once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_account.signers.local import LocalAccount
from hexbytes import HexBytes

from MedWatermarkLib.batch_path import batch_path_to_text
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.ledger_errors import RefusedError
from MedWatermarkLib.output import write_private
from MedWatermarkLib.record import Record
from MedWatermarkLib.record_batch import Batch, SignedBatch, sign_batch
from MedWatermarkLib.refusals import AlreadyRegisteredError, NotAccreditedError
from MedWatermarkLib.results import Line
from MedWatermarkLib.run_folder import RunFolder, RunFolderError
from MedWatermarkLib.scratch import scratch
from MedWatermarkLib.tag import message_id

PATHS = "batch-paths"
MOST = 10_000
"""Records of one transaction: nodes take no larger one than 128 KiB."""
_NOTHING = bytes(32)
_FORMAT = "MedWatermark batch registration 1"


class RegistrationError(ValueError):
    """What a run has marked cannot be registered so."""


@dataclass(frozen=True)
class Sent:
    """A batch that is on the ledger.

    Attributes
    ----------
    batch : Batch
    transaction : bytes or None
        Its hash; None if another computer had sent it.
    gas : int or None
        What it took.
    """

    batch: Batch
    transaction: bytes | None
    gas: int | None


def register_run(folder: RunFolder, ledger: Ledger, signer: LocalAccount) -> list[Sent]:
    """Register what is not registered yet, for the ledger's account as the institution.

    Each record gets its place in the batch as a file, which its line of results names as
    ``batch_path``; without it nothing shows that the record is there.

    Parameters
    ----------
    folder : RunFolder
        A run of ``embed``.
    ledger : Ledger
    signer : eth_account.signers.local.LocalAccount
        Who signed the scans of the run.

    Returns
    -------
    list of Sent
        The batches; one, unless there are more than `MOST` records, or one was broken off before.

    Raises
    ------
    RegistrationError
        If another account signed the scans, or a batch was begun for another institution.
    NotAccreditedError
        If the signer was not accredited when it signed the scans; nothing is sent then.
    LedgerError
        As of `Registry.register_batch`.
    """
    signers = {line["claim"]["signer"] for line in folder.results if line["outcome"] == "marked"}
    if signers - {signer.address}:
        raise RegistrationError(
            f"The scans of this run bear the signature of {' and '.join(sorted(signers))}, and the "
            f"batch would bear that of {signer.address}: give the key file of their signer."
        )
    sent = []
    while lines := _next(folder, ledger):
        names, file = lines
        signed = _signed(folder, names, file, ledger, signer)
        try:
            sent.append(_send(signed, ledger))
        except RefusedError:
            # It is not on the ledger and never was, so the next time another may be signed.
            file.unlink()
            raise
        _keep_paths(folder, names, signed)
    return sent


def _next(folder: RunFolder, ledger: Ledger) -> tuple[list[str], Path] | None:
    """Return the names of a batch that was begun, or of a new one, and its file."""
    left = [
        line["name"]
        for line in folder.results
        if line["outcome"] == "marked" and not _is_kept(folder, line)
    ]
    if not left:
        return None
    files = sorted(folder.path.glob("registration-*.json"))
    for file in files:
        names = _read(file)["names"]
        if set(names) & set(left):
            return names, file
    return left[:MOST], folder.path / f"registration-{len(files) + 1:04d}.json"


def _is_kept(folder: RunFolder, line: Line) -> bool:
    return "batch_path" in line and (folder.path / line["batch_path"]).is_file()


def _signed(
    folder: RunFolder, names: Sequence[str], file: Path, ledger: Ledger, signer: LocalAccount
) -> SignedBatch:
    """Return the batch that a file holds, or sign one and write it down."""
    institution = ledger.account.address
    records = [_record(folder.results.get(name), institution, file) for name in names]
    if file.exists():
        content = _read(file)
        if content["institution"] != institution:
            raise RegistrationError(
                f"{file} holds a batch that was to be registered for {content['institution']}: "
                "give that institution's key file."
            )
        signed = SignedBatch(
            tuple(records), content["issued_at"], bytes.fromhex(content["signature"])
        )
        if signed.batch.root.hex() != content["root"]:
            raise RegistrationError(f"{file} does not fit the results of this run any more.")
        return signed
    earliest = min(record.issued_at for record in records)
    periods = ledger.registry.periods(institution, signer.address)
    if not any(period.start <= earliest < period.until for period in periods):
        raise NotAccreditedError(institution, signer.address)
    signed = sign_batch(records, signer)
    content = {
        "format": _FORMAT,
        "institution": institution,
        "root": signed.batch.root.hex(),
        "issued_at": signed.issued_at,
        "signature": signed.signature.hex(),
        "names": list(names),
        "records": [record.id.hex() for record in records],
    }
    write_private(file, json.dumps(content, indent=1).encode("ascii"))
    return signed


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text("ascii"))
        if content["format"] == _FORMAT:
            return dict(content)
    except (ValueError, KeyError, TypeError):
        pass
    raise RunFolderError(f"{file} does not hold the batch of a registration.")


def _record(line: Line | None, institution: str, file: Path) -> Record:
    if line is None or line["outcome"] != "marked":
        raise RegistrationError(f"{file} does not fit the results of this run any more.")
    claim = line["claim"]
    return Record(
        commitment=bytes.fromhex(claim["commitment"]),
        issued_at=claim["issued_at"],
        tag=message_id(claim["text"].encode()),
        voxel_root=bytes.fromhex(line["voxel_root"]),
        package_root=_NOTHING,
        chunk_count=0,
        content_commitment=_NOTHING,
        institution=institution,
    )


def _send(signed: SignedBatch, ledger: Ledger) -> Sent:
    try:
        event = ledger.registry.register_batch(signed)
    except AlreadyRegisteredError:
        return Sent(signed.batch, None, None)
    transaction = event.origin.transaction
    receipt = ledger.web3.eth.get_transaction_receipt(HexBytes(transaction))
    return Sent(signed.batch, transaction, receipt["gasUsed"])


def _keep_paths(folder: RunFolder, names: Sequence[str], signed: SignedBatch) -> None:
    """Write the place of each record, and then name them in the results, all at once."""
    paths = folder.path / PATHS
    paths.mkdir(mode=0o700, exist_ok=True)
    kept = {}
    with scratch(paths) as beside:
        for name, placed in zip(names, signed.placed(), strict=True):
            place = paths / f"{name}.json"
            (beside / place.name).write_text(batch_path_to_text(placed), "utf-8")
            os.replace(beside / place.name, place)
            path = place.relative_to(folder.path).as_posix()
            kept[name] = {"batch_path": path, "record_id": placed.record.id.hex()}
    folder.results.replace({**line, **kept.get(line["name"], {})} for line in folder.results)
