"""The command ``share``: from a marked scan to a sealed package that is offered or granted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from MedWatermarkLib.arguments import address, amount
from MedWatermarkLib.claim import Claim, check_diagnosis
from MedWatermarkLib.deidentification import deidentified_facts, deidentified_rows
from MedWatermarkLib.deidentified import Deidentified, Request, deidentified_volume
from MedWatermarkLib.derivation import derived_scan
from MedWatermarkLib.dicom import DicomSource
from MedWatermarkLib.exchange import ExchangeError, Owner, record_of
from MedWatermarkLib.exchange_commands import report_step
from MedWatermarkLib.exchange_state import NAME, make_folder
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.marking import read_again
from MedWatermarkLib.next_step import last_time, present
from MedWatermarkLib.output import check_new
from MedWatermarkLib.owner_folder import SEALED
from MedWatermarkLib.package_errors import IdentifiedImageError
from MedWatermarkLib.packed_image import pack_image
from MedWatermarkLib.reading import read_mark
from MedWatermarkLib.report import ExitCode, Report
from MedWatermarkLib.sale import COIN, SaleState
from MedWatermarkLib.sealed_package import SealedPackage, write_sealed_package
from MedWatermarkLib.sealing import Identity, check_recipient
from MedWatermarkLib.store import Store
from MedWatermarkLib.tables import Row, claim_facts, claim_rows, megabytes
from MedWatermarkLib.tiles import tile_leaves
from MedWatermarkLib.volume import Volume

_HOUR = 3_600
_SOME_NAME = "0" * 64


class NoClaimError(ValueError):
    """A scan that gives no claim, and so cannot be shared."""

    exit_code = ExitCode.NOT_READ


@dataclass(frozen=True)
class Source:
    """What is shared.

    Attributes
    ----------
    scan : pathlib.Path
    mark_key : bytes
        Empty for a public mark.
    request : Request
        How it is de-identified, if it still says whose it is.
    dicom : pathlib.Path or None
        DICOM that a scan of another format came from, as of `derivation.source_series`: with it,
        it is shared as DICOM.
    """

    scan: Path
    mark_key: bytes = field(repr=False)
    request: Request = field(default_factory=Request)
    dicom: Path | None = None


@dataclass(frozen=True)
class Granting:
    """To whom it is given away.

    Attributes
    ----------
    recipient_key : str
        Its age public key.
    """

    recipient_key: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "recipient_key", check_recipient(self.recipient_key))


@dataclass(frozen=True)
class Selling:
    """To whom it is offered, and on which terms: amounts as text, times in hours."""

    recipient: str
    recipient_key: str
    price: str
    bond: str
    token: str | None
    open_for: int
    reveal_window: int
    complaint_window: int

    def terms(self) -> dict[str, Any]:
        """Return what `Owner.offer` takes.

        Raises
        ------
        ArgumentError, RecipientError
            If an argument is none.
        """
        token = COIN if self.token is None else address(self.token, "a token")
        return {
            "recipient": address(self.recipient, "a recipient"),
            "recipient_key": check_recipient(self.recipient_key),
            "price": amount(self.price, token),
            "bond": amount(self.bond, token),
            "token": token,
            "reveal_window": self.reveal_window * _HOUR,
            "complaint_window": self.complaint_window * _HOUR,
        }


@dataclass(frozen=True)
class _Packed:
    """What was packed, if it was not before."""

    claim: Claim
    sealed: SealedPackage
    found: Deidentified | None


def share_scan(
    source: Source,
    folder: Path,
    ledger: Ledger,
    identity: Identity,
    store: str,
    wanted: Selling | Granting | None,
    report: Report,
) -> None:
    """Package, seal and register a marked scan, offer or grant it, and report.

    Raises
    ------
    NoClaimError, ClaimError, PackageError, ImageReadError, BurnedInIdentityError
        With nothing registered, stored or sent.
    ExchangeError, StoreError, OutputError, LedgerError
        Another call goes on.
    """
    terms = wanted.terms() if isinstance(wanted, Selling) else {}
    place = Store(store)
    if wanted is not None:
        place.exists(_SOME_NAME)  # Whether it answers is better known before the work.
    packed = None
    if (folder / NAME).exists():
        owner = Owner(folder, ledger)
        report.step("Reading the scan", 0.0, 0.6)
        _check_same(owner, source.scan, folder)
    else:
        _clear_leftover(folder)
        check_new(folder)
        with derived_scan(source.scan, source.dicom, folder) as scan:
            owner, packed = _begin(source, scan, folder, ledger, identity, report)
    report.step("Registering", 0.6, 0.7)
    owner.register()
    facts, rows = _packed_facts(packed, source)
    tell = report.step("Storing and sending", 0.7, 1.0)
    if isinstance(wanted, Selling):
        terms["open_until"] = _open_until(owner, ledger, wanted)
        recipient, recipient_key = terms.pop("recipient"), terms.pop("recipient_key")
        owner.offer(recipient, recipient_key, identity, place, progress=tell, **terms)
        facts["outcome"], headline = "offered", "The scan is sealed, registered and offered."
    elif isinstance(wanted, Granting):
        digest = owner.grant(wanted.recipient_key, identity, place, progress=tell)
        facts |= {"outcome": "granted", "grant": digest.hex()}
        facts["recipient_key"] = wanted.recipient_key
        headline = "The scan is sealed, registered and granted."
        rows += [("Granted to", wanted.recipient_key), ("As", digest.hex())]
    else:
        facts["outcome"], headline = "registered", "The scan is sealed and registered."
    report_step("share", owner, folder, report, facts, headline, tuple(rows))


def _begin(
    source: Source, scan: Path, folder: Path, ledger: Ledger, identity: Identity, report: Report
) -> tuple[Owner, _Packed]:
    """Seal the scan, as it is at a path, and begin the exchange in the folder."""
    volume, reading = read_mark(scan, source.mark_key, None, report, until=0.3)
    claim = reading.claim
    if claim is None:
        raise NoClaimError(
            f"{source.scan} gives no claim to share: {reading.problem} Mark it with embed first."
        )
    check_diagnosis(claim.diagnosis, volume.identity)
    content = Identity.generate()
    report.step("De-identifying", 0.3, 0.4)
    with _nameless(volume, scan, folder, source.request) as (image, found):
        for remark in () if found is None else found.remarks:
            report.warn(remark)
        make_folder(folder)
        sealed = write_sealed_package(
            image,
            claim,
            folder / SEALED,
            content,
            mark_key=source.mark_key,
            progress=report.step("Packing and sealing", 0.4, 0.6),
        )
    record = record_of(claim, sealed, ledger.account.address)
    owner = Owner.begin(
        folder, ledger, folder / SEALED, record, claim.signature, content, identity.recipient
    )
    return owner, _Packed(claim, sealed, found)


@contextmanager
def _nameless(
    volume: Volume, scan: Path, folder: Path, request: Request
) -> Iterator[tuple[Path, Deidentified | None]]:
    """Give the path of the scan without identity: itself, if it has none."""
    if isinstance(volume.source, DicomSource):
        try:
            pack_image(volume)
        except IdentifiedImageError:
            pass
        else:
            yield scan, None
            return
    with deidentified_volume(volume, scan, folder, request, None) as (clean, found):
        if isinstance(clean.source, DicomSource):
            yield clean.source.slices[0].path.parent, found
        else:
            yield scan, found


def _clear_leftover(folder: Path) -> None:
    """Remove what a call that was ended has left: without the file of states nothing opens it."""
    if folder.is_dir() and [path.name for path in folder.iterdir()] == [SEALED]:
        (folder / SEALED).unlink()


def _check_same(owner: Owner, scan: Path, folder: Path) -> None:
    volume = read_again(scan)
    if tile_leaves(volume).root != owner.record.voxel_root:
        raise ExchangeError(f"Another scan is shared in {folder}; take another folder.")


def _open_until(owner: Owner, ledger: Ledger, wanted: Selling) -> int | None:
    """Return until when an offer is open; None, if that was said before and still goes."""
    is_new = owner.watch().state is SaleState.NONE
    terms = owner.terms
    if terms is not None and not (is_new and last_time(ledger) > terms.open_until):
        return None
    return present(ledger) + wanted.open_for * _HOUR


def _packed_facts(packed: _Packed | None, source: Source) -> tuple[dict[str, Any], list[Row]]:
    if packed is None:
        return dict.fromkeys(("claim", "format", "size", "chunks", "deidentified")), []
    claim, sealed, found = packed.claim, packed.sealed, packed.found
    request = source.request
    facts = {
        "claim": claim_facts(claim),
        "format": sealed.manifest.image.format,
        "size": sealed.size,
        "chunks": sealed.tree.count,
        "deidentified": None if found is None else deidentified_facts(found, request),
    }
    rows = [*claim_rows(claim), ("Sealed", f"{megabytes(sealed.size)}")]
    if found is None:
        return facts, [*rows, ("Identity", "was taken out before")]
    taken = [(f"  {name}", text) for name, text in deidentified_rows(found, request)]
    return facts, [*rows, ("Identity", "taken out:"), *taken]
