"""An exchange over stores that are not a folder: web servers, good and bad, and S3."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from chains import Chain, open_chain
from deals import Deal, MakeDeal
from servers import Shelf, new_bucket, s3_environment, s3_server, web_server

from MedWatermarkLib import store as stores
from MedWatermarkLib.exchange import receive_grant
from MedWatermarkLib.sale import SaleState
from MedWatermarkLib.store import Store
from MedWatermarkLib.store_errors import DamagedDownloadError, StoreUnreachableError

CONTENT = secrets.token_bytes(1_300_000)
_PIECE = 200_000


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with open_chain("embedded") as chain:
        yield chain


@pytest.fixture(autouse=True)
def _local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(stores, "_WAITS", (0.01, 0.02, 0.03))


@pytest.fixture
def deal(make_deal: MakeDeal) -> Deal:
    return make_deal(plain_content=CONTENT)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def web(shelf: Shelf) -> Iterator[str]:
    with web_server(shelf) as url:
        yield url


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


def _sell_and_grant(deal: Deal) -> None:
    """Go all the way, with nothing but the store and the chain between the two."""
    deal.until("revealed")
    sealed = deal.recipient.receive()
    assert sealed is not None
    assert sealed.read_bytes() == deal.sealed.read_bytes()
    assert deal.state is SaleState.SETTLED
    deal.owner.grant(deal.reader.recipient, deal.keeper, deal.store)
    place = deal.place / "granted.age"
    content = receive_grant(deal.buyer, deal.record.id, deal.reader, deal.store, place)
    assert content == deal.content
    assert place.read_bytes() == deal.sealed.read_bytes()
    assert list((deal.place / "store").iterdir()) == []


def test_an_exchange_goes_over_a_web_server_whose_line_breaks_time_and_again(
    deal: Deal, shelf: Shelf, web: str
) -> None:
    shelf.breaks_after = _PIECE
    deal.url = web
    _sell_and_grant(deal)
    ranges = [wanted for _, _, wanted in shelf.requests if wanted]
    # It went on where it broke off: the file of the sale, and the sealed package.
    assert len(ranges) >= 2 * (len(CONTENT) // _PIECE)


def test_an_exchange_goes_over_a_web_server_without_ranges(
    deal: Deal, shelf: Shelf, web: str
) -> None:
    shelf.ranges = False
    deal.url = web
    _sell_and_grant(deal)


def test_an_exchange_goes_over_s3(
    deal: Deal, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_environment(s3_endpoint).items():
        monkeypatch.setenv(name, value)
    deal.url = new_bucket()
    _sell_and_grant(deal)


def test_a_recipient_who_was_killed_half_way_through_a_download_goes_on(
    deal: Deal, shelf: Shelf, web: str
) -> None:
    deal.until("taken up")
    stored = (deal.place / "store").iterdir()
    shelf.files = {f"/shelf/{path.name}": path.read_bytes() for path in stored}
    name = max(shelf.files, key=lambda name: len(shelf.files[name]))
    place = deal.place / "recipient" / "sale"
    shelf.breaks_after = 2 * _PIECE
    _run(_killed_in_download, web, Path(name).name, place)
    (part,) = place.parent.glob(".*.part")
    arrived = part.stat().st_size
    assert 0 < arrived < len(shelf.files[name])
    shelf.breaks_after = None
    shelf.requests.clear()
    deal.recipient.download(deal.reader, Store(web))
    asked = [wanted for _, path, wanted in shelf.requests if path == name]
    assert asked == [f"bytes={arrived}-"]
    deal.accept()
    deal.reveal()
    assert deal.recipient.receive() is not None


def test_an_owner_who_was_killed_half_way_through_an_upload_goes_on(deal: Deal) -> None:
    deal.begin().register()
    store = deal.place / "store"
    _run(_killed_in_upload, deal.sealed, store)
    assert len(list(store.glob(".*.part/content/*"))) == 1
    deal.offer()
    assert list(store.glob(".*")) == []
    deal.take_up().download(deal.reader, deal.store)


def test_what_a_web_server_sends_instead_is_refused(deal: Deal, shelf: Shelf, web: str) -> None:
    deal.url = web
    deal.until("taken up")
    names = list(shelf.files)
    for name in names:
        content = shelf.files[name]
        shelf.files[name] = content[:-1] + bytes([content[-1] ^ 1])
        for fetched in ("note", "leaves", "sale"):
            (deal.place / "recipient" / fetched).unlink(missing_ok=True)
        with pytest.raises(DamagedDownloadError):
            deal.download()
        shelf.files[name] = content
    deal.download()


def test_a_server_that_is_gone_is_asked_again_later(deal: Deal, shelf: Shelf, web: str) -> None:
    deal.url = web
    deal.until("taken up")
    shelf.first = [503] * 20
    with pytest.raises(StoreUnreachableError):
        deal.download()
    shelf.first = []
    deal.download()


def _run(target: object, *arguments: object) -> None:
    """Run something in a process that kills itself."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)  # type: ignore[arg-type]
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def _kill(share: float) -> None:
    if share > 0.1:
        os.kill(os.getpid(), signal.SIGKILL)


def _killed_in_download(url: str, name: str, place: Path) -> None:
    Store(url).get(name, place, progress=_kill)


def _killed_in_upload(file: Path, store: Path) -> None:
    Store(store).put(file, progress=_kill)
