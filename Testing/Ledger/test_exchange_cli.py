"""The commands of an exchange, called as two hospitals' scripts call them, on a real node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import pydicom
import pytest
from anvil import Anvil, run_anvil
from deals import Purse
from identities import quick_identity_file
from instances import ct_instance
from pydicom.uid import generate_uid
from typer.testing import CliRunner, Result

from MedWatermarkLib import sharing
from MedWatermarkLib.account import create_key_file, load_account
from MedWatermarkLib.cheat import Cheat
from MedWatermarkLib.cli import app
from MedWatermarkLib.identity_file import load_identity
from MedWatermarkLib.imageio import read_volume, write_volume
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.next_step import REVEAL_MARGIN
from MedWatermarkLib.package import new_mark_key
from MedWatermarkLib.scan import mark_scan
from MedWatermarkLib.volume import Volume, image_hash

sys.path.append(str(Path(__file__).parents[1] / "Library"))
from phantoms import head

PASSWORD, IDENTITY_PASSWORD = "correct horse battery staple", "another one entirely"
DIAGNOSIS = "No acute bleeding."
NAME = "Grünwald"
HOUR, ETHER = 3_600, 10**18
PRICE, BOND = ETHER // 2, ETHER // 10


@dataclass(frozen=True)
class World:
    """A node with the ledger on it, key files and identities, and a scan that is marked."""

    node: Anvil
    place: Path
    hospital: Ledger
    clinic: Ledger
    keys: dict[str, str]

    def run(self, *arguments: object, **options: Any) -> Result:
        """Run a command; whatever it says, it is no traceback and tells no secret."""
        environment = {
            "MEDWATERMARK_PASSWORD": PASSWORD,
            "MEDWATERMARK_IDENTITY_PASSWORD": IDENTITY_PASSWORD,
            "MEDWATERMARK_LEDGER": os.fspath(self.place / "ledger.toml"),
            "MEDWATERMARK_STORE": os.fspath(self.place / "store"),
            "XDG_STATE_HOME": os.fspath(self.place / "state"),
            **options.pop("env", {}),
        }
        done = CliRunner().invoke(app, [*map(str, arguments)], env=environment, **options)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        for secret in (PASSWORD, IDENTITY_PASSWORD, NAME, "AGE-SECRET-KEY"):
            assert secret not in done.output
        return done

    def told(self, *arguments: object, code: int = 0, **options: Any) -> dict[str, Any]:
        """Run a command, and return its result, or its error."""
        done = self.run(*arguments, "--json", **options)
        assert done.exit_code == code, done.output
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told

    def as_hospital(self, *arguments: object, **options: Any) -> dict[str, Any]:
        return self.told(*arguments, "--key-file", self.place / "hospital.json", **options)

    def as_clinic(self, *arguments: object, **options: Any) -> dict[str, Any]:
        return self.told(*arguments, "--key-file", self.place / "clinic.json", **options)

    @property
    def hospitals_identity(self) -> tuple[object, ...]:
        return ("--identity-file", self.place / "hospital.age")

    @property
    def clinics_identity(self) -> tuple[object, ...]:
        return ("--identity-file", self.place / "clinic.age")

    def advance(self, seconds: int) -> None:
        self.node.rpc("evm_increaseTime", seconds)
        self.node.mine()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    place = tmp_path_factory.mktemp("exchange")
    (place / "store").mkdir()
    # Scans as small as these are slower with several, where others use the machine too.
    numba.set_num_threads(1)
    with run_anvil() as node, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", os.fspath(place / "state"))
        ledgers = {}
        for name in ("administrator", "hospital", "clinic", "doctor"):
            node.fund(create_key_file(place / f"{name}.json", PASSWORD, iterations=2), 100)
        administrator = load_account(place / "administrator.json", PASSWORD)
        Ledger.deploy(node.url, administrator, place / "ledger.toml")
        for name in ("administrator", "hospital", "clinic"):
            account = load_account(place / f"{name}.json", PASSWORD)
            ledgers[name] = Ledger.connect(place / "ledger.toml", account)
        doctor = load_account(place / "doctor.json", PASSWORD)
        ledgers["administrator"].registry.accredit(
            ledgers["hospital"].account.address, doctor.address, 0, 2**40
        )
        keys = {
            name: quick_identity_file(place / f"{name}.age", IDENTITY_PASSWORD)
            for name in ("hospital", "clinic")
        }
        _write_marked(place, doctor)
        yield World(node, place, ledgers["hospital"], ledgers["clinic"], keys)
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)


def _write_marked(place: Path, doctor: Any) -> None:
    """Write a marked series of DICOM that says whose it is."""
    (place / "scan").mkdir()
    series, frame = generate_uid(), generate_uid()
    for index, pixels in enumerate(head(4, 256, 256).astype("int16")):
        instance = ct_instance(pixels, index)
        instance.SeriesInstanceUID, instance.FrameOfReferenceUID = series, frame
        instance.StudyInstanceUID = series
        instance.save_as(place / "scan" / f"{index}.dcm", enforce_file_format=True)
    marked = mark_scan(read_volume(place / "scan"), DIAGNOSIS, doctor)
    write_volume(marked.volume, place / "marked", "Marked")


def start(world: World, *arguments: object, by: str) -> subprocess.Popen[str]:
    """Start a command as a process."""
    environment = os.environ | {
        "MEDWATERMARK_PASSWORD": PASSWORD,
        "MEDWATERMARK_IDENTITY_PASSWORD": IDENTITY_PASSWORD,
        "MEDWATERMARK_LEDGER": os.fspath(world.place / "ledger.toml"),
    }
    command = [sys.executable, "-m", "MedWatermarkLib", *map(str, arguments)]
    command += ["--key-file", os.fspath(world.place / f"{by}.json")]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@dataclass
class Exchange:
    """A sale between the two, each with a folder of its own."""

    world: World
    place: Path

    @property
    def owner(self) -> Path:
        return self.place / "owner"

    @property
    def recipient(self) -> Path:
        return self.place / "recipient"

    def share(self, **options: Any) -> dict[str, Any]:
        world = self.world
        return world.as_hospital(
            "share",
            world.place / "marked",
            self.owner,
            *("--recipient", world.clinic.account.address, "--recipient-key", world.keys["clinic"]),
            *("--price", "0.5", "--bond", "0.1", "--reveal-window", 1, "--complaint-window", 1),
            *world.hospitals_identity,
            **options,
        )

    def accept(self, sale: str, *, price: str | None = "0.5", code: int = 0) -> dict[str, Any]:
        priced = () if price is None else ("--price", price)
        identity = self.world.clinics_identity
        return self.world.as_clinic("accept", sale, self.recipient, *priced, *identity, code=code)

    def reveal(self, *arguments: object, code: int = 0) -> dict[str, Any]:
        identity = self.world.hospitals_identity
        return self.world.as_hospital("reveal", self.owner, *identity, *arguments, code=code)

    def receive(self, *arguments: object, code: int = 0) -> dict[str, Any]:
        identity, output = self.world.clinics_identity, self.place / "received"
        return self.world.as_clinic(
            "receive", self.recipient, output, *identity, *arguments, code=code
        )

    def until(self, step: str) -> dict[str, Any]:
        told = self.share()
        if step != "offered":
            self.accept(told["sale"])
        if step == "revealed":
            self.reveal()
        return told


@pytest.fixture
def exchange(world: World, tmp_path: Path) -> Exchange:
    return Exchange(world, tmp_path)


# --- A sale ---


def test_a_sale_goes_from_a_marked_scan_to_a_verified_one(exchange: Exchange) -> None:
    world, before = exchange.world, (Purse(exchange.world.hospital), Purse(exchange.world.clinic))
    shared = exchange.share()
    assert (shared["outcome"], shared["state"], shared["side"]) == ("offered", "offered", "owner")
    assert {one["outcome"] for one in shared["deidentified"]["attributes"]} > {"removed"}
    (offered,) = [
        one for one in world.as_clinic("offers")["offers"] if one["sale"] == shared["sale"]
    ]
    assert (offered["objections"], offered["next"]) == ([], "accept")
    assert offered["terms"] == shared["terms"]
    assert (offered["terms"]["price"], offered["terms"]["bond"]) == (PRICE, BOND)

    checked = exchange.accept(shared["sale"], price=None)
    assert (checked["paid"], checked["state"], checked["next"]) == (False, "offered", "accept")
    assert exchange.accept(shared["sale"])["state"] == "accepted"
    assert world.told("watch", exchange.owner)["next"] == "reveal"
    both = world.told("exchanges", exchange.place)["exchanges"]
    assert {one["side"]: one["next"] for one in both} == {"owner": "reveal", "recipient": ""}
    revealed = exchange.reveal()
    assert (revealed["state"], revealed["next"]) == ("revealed", "")
    assert world.told("watch", exchange.recipient)["next"] == "receive"
    received = exchange.receive()
    assert (received["outcome"], received["state"]) == ("received", "settled")
    assert received["claim"]["diagnosis"] == DIAGNOSIS
    assert [purse.gained for purse in before] == [PRICE, -PRICE]

    scan = read_volume(received["image"])
    assert image_hash(scan) == image_hash(read_volume(world.place / "marked"))
    for file in Path(received["image"]).iterdir():
        instance = pydicom.dcmread(file)
        assert instance.PatientIdentityRemoved == "YES"
        assert NAME not in str(instance)
    verified = world.told("verify", received["image"], "--leaves", received["leaves"])
    assert verified["passed"]


def test_every_command_can_be_called_again_and_says_the_same(exchange: Exchange) -> None:
    sale = exchange.share()["sale"]
    assert exchange.share()["sale"] == sale
    purse = Purse(exchange.world.clinic)
    for _ in range(2):
        exchange.accept(sale)
    for _ in range(2):
        exchange.reveal()
    first = exchange.receive()
    assert exchange.receive() == first
    assert exchange.accept(sale)["state"] == exchange.share()["state"] == "settled"
    assert purse.gained == -PRICE


def test_what_was_received_and_altered_is_not_taken_for_received(exchange: Exchange) -> None:
    exchange.until("revealed")
    file = next(Path(exchange.receive()["image"]).iterdir())
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert exchange.receive(code=1)["kind"] == "OutputExistsError"
    assert file.read_bytes() == content


def test_a_recipient_who_gets_a_wrong_chunk_has_price_and_bond(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Purse(exchange.world.hospital), Purse(exchange.world.clinic)
    with monkeypatch.context() as patch:
        patch.setattr(sharing, "Owner", Cheat)
        exchange.until("revealed")
    for _ in range(2):
        assert exchange.receive(code=3)["outcome"] == "refunded"
    assert exchange.world.as_clinic("complain", exchange.recipient)["complained"]
    assert not (exchange.place / "received").exists()
    assert [purse.gained for purse in before] == [-BOND, BOND]


def test_a_complaint_without_ground_is_not_made(exchange: Exchange) -> None:
    exchange.until("revealed")
    told = exchange.world.as_clinic("complain", exchange.recipient, code=3)
    assert (told["complained"], told["state"]) == (False, "revealed")
    settled = exchange.world.as_clinic("settle", exchange.recipient)
    assert settled["state"] == "settled"


def test_too_early_is_said_so_and_until_when(exchange: Exchange) -> None:
    world, sale = exchange.world, exchange.share()["sale"]
    assert exchange.reveal(code=4)["kind"] == "NotYetError"
    exchange.accept(sale)
    exchange.receive(code=4)
    refused = world.as_clinic("refund", exchange.recipient, code=4)
    assert "The owner has until" in refused["message"]
    exchange.reveal()
    assert "collect then" in world.as_hospital("settle", exchange.owner, code=4)["message"]


def test_an_owner_collects_from_a_recipient_who_falls_silent(exchange: Exchange) -> None:
    purse = Purse(exchange.world.hospital)
    exchange.until("revealed")
    exchange.world.advance(HOUR + 1)
    assert exchange.world.told("watch", exchange.owner)["next"] == "settle"
    assert exchange.world.as_hospital("settle", exchange.owner)["state"] == "settled"
    assert purse.gained == PRICE
    assert exchange.receive()["outcome"] == "received"


def test_a_recipient_takes_its_money_back_from_an_owner_who_falls_silent(
    exchange: Exchange,
) -> None:
    purse = Purse(exchange.world.clinic)
    exchange.until("accepted")
    exchange.world.advance(HOUR - REVEAL_MARGIN + 60)
    assert exchange.reveal(code=1)["kind"] == "TooLateError"
    exchange.world.advance(REVEAL_MARGIN)
    watched = exchange.world.told("watch", exchange.recipient)
    assert (watched["next"], watched["urgent"]) == ("refund", True)
    # It would wait for ever, if it did not see that the time is over.
    exchange.receive("--wait", "--poll", "0.1", code=4)
    assert exchange.world.as_clinic("refund", exchange.recipient)["state"] == "refunded"
    assert purse.gained == BOND


def test_an_offer_that_nobody_accepted_is_taken_back(exchange: Exchange) -> None:
    purse, sale = Purse(exchange.world.hospital), exchange.share()["sale"]
    for _ in range(2):
        assert exchange.world.as_hospital("cancel", exchange.owner)["state"] == "cancelled"
    assert purse.gained == 0
    assert "took the offer back" in exchange.accept(sale, code=1)["message"]
    shown = exchange.world.as_clinic("offers")["offers"]
    assert sale not in [one["sale"] for one in shown]
    shown = exchange.world.as_clinic("offers", "--all")["offers"]
    assert sale in [one["sale"] for one in shown]


def test_both_can_wait_for_each_other(exchange: Exchange) -> None:
    """Either is a process of its own: the owner waits for the money, the recipient for the key."""
    world, sale = exchange.world, exchange.share()["sale"]
    wait = ("--wait", "--poll", "0.2", "--json")
    owner = start(world, "reveal", exchange.owner, *world.hospitals_identity, *wait, by="hospital")
    exchange.accept(sale)
    recipient = start(
        world,
        "receive",
        exchange.recipient,
        exchange.place / "received",
        *world.clinics_identity,
        *wait,
        by="clinic",
    )
    told = [
        json.loads(side.communicate(timeout=120)[0].splitlines()[-1]) for side in (owner, recipient)
    ]
    assert [one["command"] for one in told] == ["reveal", "receive"]
    assert told[1]["state"] == "settled"


# --- A grant ---


def test_a_scan_is_granted_received_and_taken_back(exchange: Exchange) -> None:
    world = exchange.world

    def share() -> dict[str, Any]:
        return world.as_hospital(
            "share",
            world.place / "marked",
            exchange.owner,
            "--grant",
            *("--recipient-key", world.keys["clinic"]),
            *world.hospitals_identity,
        )

    def receive(code: int = 0) -> dict[str, Any]:
        output = exchange.place / "received"
        return world.told("receive", record, output, *world.clinics_identity, code=code)

    shared = share()
    record, grant = shared["record"], shared["grant"]
    assert share()["grant"] == grant
    offered = world.told("offers", *world.clinics_identity)["grants"]
    assert [one["grant"] for one in offered if one["record"] == record] == [grant]
    received = receive()
    assert receive() == received
    assert received["claim"]["diagnosis"] == DIAGNOSIS
    assert world.told("verify", received["image"], "--leaves", received["leaves"])["passed"]

    (known,) = world.told("grants", exchange.owner)["grants"]
    assert (known["recipient_key"], known["withdrawn"]) == (world.keys["clinic"], False)
    (seen,) = world.told("grants", record)["grants"]
    assert (seen["recipient_key"], seen["own"]) == (None, None)
    (own,) = world.told("grants", record, *world.clinics_identity)["grants"]
    assert own["own"] is True
    (foreign,) = world.told("grants", record, *world.hospitals_identity)["grants"]
    assert foreign["own"] is False

    for _ in range(2):
        world.as_hospital("withdraw", exchange.owner, "--recipient-key", world.keys["clinic"])
    (gone,) = world.told("grants", record)["grants"]
    assert gone["withdrawn"] is True
    assert "not any more" in receive(code=1)["message"]
    (trail,) = world.told("audit", record)["records"]
    assert [one["what"] for one in trail["events"]] == ["registered", "granted", "grant taken back"]


def test_a_scan_without_a_header_is_shared_as_dicom_like_its_source(exchange: Exchange) -> None:
    """As 3D Slicer shares it: voxels as NRRD, and a list of the files that they came from."""
    world = exchange.world
    scan, source = exchange.place / "marked.nrrd", exchange.place / "source.txt"
    write_volume(read_volume(world.place / "marked"), scan)
    source.write_text("\n".join(map(str, (world.place / "scan").iterdir())))

    def share() -> dict[str, Any]:
        return world.as_hospital(
            *("share", scan, exchange.owner, "--source", source, "--keep-patient-characteristics"),
            *("--grant", "--recipient-key", world.keys["clinic"]),
            *world.hospitals_identity,
        )

    shared = share()
    assert shared["format"] == "DICOM"
    profile = [each["meaning"] for each in shared["deidentified"]["profile"]]
    assert profile[1:] == ["Retain Patient Characteristics Option"]
    assert share()["record"] == shared["record"]
    assert not list(exchange.place.glob(".*"))
    output = exchange.place / "received"
    received = world.told("receive", shared["record"], output, *world.clinics_identity)
    sent, arrived = read_volume(scan), read_volume(Path(received["image"]))
    assert (arrived.rescaled() == sent.voxels).all()
    assert image_hash(arrived) == image_hash(sent)
    for file in Path(received["image"]).iterdir():
        assert NAME.encode() not in file.read_bytes()
        assert pydicom.dcmread(file).PatientIdentityRemoved == "YES"
    assert world.told("verify", received["image"], "--leaves", received["leaves"])["passed"]


def test_a_secret_mark_travels_with_its_key(exchange: Exchange) -> None:
    world, key = exchange.world, exchange.place / "mark.key"
    key.write_bytes(new_mark_key())
    doctor = load_account(world.place / "doctor.json", PASSWORD)
    volume = Volume(head(3, 192, 192).astype("int16"), modality="CT")
    marked = mark_scan(volume, DIAGNOSIS, doctor, key=key.read_bytes())
    write_volume(marked.volume, exchange.place / "marked.nrrd")
    shared = world.as_hospital(
        "share",
        exchange.place / "marked.nrrd",
        exchange.owner,
        "--grant",
        *("--recipient-key", world.keys["clinic"], "--mark-key-file", key),
        *world.hospitals_identity,
    )
    output, saved = exchange.place / "received", exchange.place / "saved.key"
    arguments = ("receive", shared["record"], output, *world.clinics_identity)
    done = world.run(*arguments)
    assert done.exit_code == 0, done.output
    assert "--save-mark-key" in done.output
    received = world.told(*arguments, "--save-mark-key", saved)
    assert saved.read_bytes() == key.read_bytes()
    assert saved.stat().st_mode & 0o777 == 0o600
    assert received["image"].endswith("image.nrrd")
    verify = ("verify", received["image"], "--leaves", received["leaves"])
    assert world.told(*verify, "--mark-key-file", saved)["passed"]
    for file in output.rglob("*"):
        assert file.is_dir() or key.read_bytes() not in file.read_bytes()


# --- What was lost ---


def test_an_owner_who_lost_its_folder_reveals_by_the_id_that_the_audit_shows(
    exchange: Exchange,
) -> None:
    record = exchange.until("accepted")["record"]
    shutil.rmtree(exchange.owner)
    (trail,) = exchange.world.told("audit", record)["records"]
    (sale,) = {one["sale"] for one in trail["events"]} - {None}
    store = ("--store", exchange.world.place / "store")
    assert exchange.reveal("--sale", sale, *store)["state"] == "revealed"
    assert exchange.receive()["outcome"] == "received"
    assert exchange.world.as_hospital("settle", exchange.owner)["state"] == "settled"


def test_a_recipient_who_lost_its_folder_makes_another_and_pays_once(exchange: Exchange) -> None:
    purse, sale = Purse(exchange.world.clinic), exchange.until("revealed")["sale"]
    shutil.rmtree(exchange.recipient)
    assert exchange.accept(sale)["next"] == "receive"
    assert exchange.receive()["outcome"] == "received"
    assert purse.gained == -PRICE


def test_what_the_store_lost_is_published_and_fetched_again(
    exchange: Exchange, tmp_path: Path
) -> None:
    exchange.until("revealed")
    (exchange.recipient / "sale").unlink()
    store = ("--store", tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    assert "download it again" in exchange.receive(*store, code=1)["message"]
    assert exchange.receive(*store, code=1)["kind"] == "NotInStoreError"
    identity = exchange.world.hospitals_identity
    exchange.world.told("publish", exchange.owner, *identity, *store)
    assert exchange.receive(*store)["outcome"] == "received"
    kept = {path.name for path in exchange.owner.iterdir()}
    assert kept == {"exchange.json", "sealed.age", ".lock"}


def test_a_share_that_broke_off_while_it_sealed_goes_on(exchange: Exchange) -> None:
    exchange.owner.mkdir()
    (exchange.owner / "sealed.age").write_bytes(b"of which no file of states tells")
    assert exchange.share()["outcome"] == "offered"


# --- What is refused ---


def test_a_scan_without_a_claim_is_not_shared(exchange: Exchange) -> None:
    world = exchange.world
    arguments = ("share", world.place / "scan", exchange.owner, *world.hospitals_identity)
    told = world.as_hospital(*arguments, code=3)
    assert "Mark it with embed first" in told["message"]
    assert not exchange.owner.exists()


def test_nothing_is_sent_for_a_recipient_that_is_none_or_a_price_that_is_none(
    exchange: Exchange,
) -> None:
    world, before = exchange.world, exchange.world.node.web3().eth.block_number
    address, key = world.clinic.account.address, world.keys["clinic"]
    for recipient, recipient_key, price, code, said in (
        ("0x12", key, "1", 2, "a recipient"),
        (address, "age1none", "1", 1, "age1"),
        (address, key, "1,5", 2, "ether"),
        (address, key, "0.1234567890123456789", 2, "ether"),
    ):
        told = world.as_hospital(
            *("share", world.place / "marked", exchange.owner, *world.hospitals_identity),
            *("--recipient", recipient, "--recipient-key", recipient_key, "--price", price),
            code=code,
        )
        assert said in told["message"]
    assert not exchange.owner.exists()
    assert world.node.web3().eth.block_number == before


@pytest.mark.parametrize(
    "options",
    [
        ("--grant",),
        ("--price", "1"),
        ("--recipient-key", "age1"),
        ("--grant", "--recipient-key", "age1", "--price", "1"),
    ],
)
def test_options_that_say_neither_sale_nor_grant_are_refused(
    exchange: Exchange, options: tuple[str, ...]
) -> None:
    world = exchange.world
    arguments = ("share", world.place / "marked", exchange.owner, *world.hospitals_identity)
    done = world.run(*arguments, "--key-file", world.place / "hospital.json", *options)
    assert done.exit_code == 2


def test_another_price_than_the_recipient_means_is_not_paid(exchange: Exchange) -> None:
    purse, sale = Purse(exchange.world.clinic), exchange.share()["sale"]
    told = exchange.accept(sale, price="0.4", code=3)
    assert told["kind"] == "OfferRefusedError"
    assert purse.gained == 0


def test_the_folder_of_another_exchange_or_side_is_refused(
    exchange: Exchange, tmp_path: Path
) -> None:
    world, sale = exchange.world, exchange.until("accepted")["sale"]
    other = Exchange(world, tmp_path / "other")
    other.place.mkdir()
    another = other.share()["sale"]
    assert exchange.accept(another, code=1)["kind"] == "ExchangeError"
    told = world.as_hospital("cancel", exchange.recipient, code=1)
    assert "the other side's" in told["message"]
    assert world.told("watch", tmp_path, code=1)["kind"] == "ExchangeStateError"
    assert exchange.accept(sale)["state"] == "accepted"

    volume = Volume(head(3, 192, 192).astype("int16"), modality="CT")
    write_volume(volume, tmp_path / "another.nrrd")
    identity = world.hospitals_identity
    told = world.as_hospital("share", tmp_path / "another.nrrd", exchange.owner, *identity, code=1)
    assert "Another scan" in told["message"]


@pytest.mark.parametrize("variable", ["MEDWATERMARK_PASSWORD", "MEDWATERMARK_IDENTITY_PASSWORD"])
def test_a_wrong_password_is_said_to_be_wrong(exchange: Exchange, variable: str) -> None:
    world = exchange.world
    told = world.as_hospital(
        *("reveal", exchange.owner, *world.hospitals_identity),
        code=1,
        env={variable: "wrong"},
    )
    assert told["kind"] == "WrongPasswordError"


def test_passwords_come_line_by_line_the_key_files_first(exchange: Exchange) -> None:
    world = exchange.world
    exchange.until("accepted")
    empty = {"MEDWATERMARK_PASSWORD": "", "MEDWATERMARK_IDENTITY_PASSWORD": ""}
    reveal = ("reveal", exchange.owner, *world.hospitals_identity, "--password-stdin")
    swapped = f"{IDENTITY_PASSWORD}\n{PASSWORD}\n"
    assert (
        world.as_hospital(*reveal, code=1, env=empty, input=swapped)["kind"] == "WrongPasswordError"
    )
    one = world.as_hospital(*reveal, code=2, env=empty, input=f"{PASSWORD}\n")
    assert "hospital.age" in one["message"]
    both = f"{PASSWORD}\n{IDENTITY_PASSWORD}\n"
    assert world.as_hospital(*reveal, env=empty, input=both)["state"] == "revealed"
    offers = ("offers", *world.clinics_identity, "--password-stdin")
    assert world.as_clinic(*offers, env=empty, input=both)["command"] == "offers"


def test_a_new_identity_tells_its_public_key_alone(world: World, tmp_path: Path) -> None:
    told = world.told("identity", tmp_path / "new.age", input=f"{IDENTITY_PASSWORD}\n")
    identity = load_identity(tmp_path / "new.age", IDENTITY_PASSWORD)
    assert told["public_key"] == identity.recipient
    again = world.told("identity", tmp_path / "new.age", code=1)
    assert "exists already" in again["message"]


# --- What is told, and what is not ---


def test_the_audit_tells_who_did_what_when_and_in_which_transaction(exchange: Exchange) -> None:
    world, shared = exchange.world, exchange.until("revealed")
    exchange.receive()
    (trail,) = world.told("audit", exchange.recipient)["records"]
    assert trail["record"] == shared["record"]
    hospital, clinic = world.hospital.account.address, world.clinic.account.address
    assert [(one["what"], one["by"]) for one in trail["events"]] == [
        ("registered", hospital),
        ("offered", hospital),
        ("accepted", clinic),
        ("revealed", hospital),
        ("settled", clinic),
    ]
    times = [one["time"] for one in trail["events"]]
    assert times == sorted(times)
    eth = world.node.web3().eth
    for one in trail["events"]:
        assert eth.get_transaction_receipt(one["transaction"])["blockNumber"] == one["block"]
    by_scan = world.told("audit", world.place / "marked")["records"]
    assert trail in by_scan
    shown = world.run("audit", shared["record"])
    assert all(word in shown.stdout for word in ("offered", "0.5 ether", clinic))
    assert world.told("audit", "11" * 32, code=3)["kind"] == "NothingRegisteredError"


def test_secrets_and_names_lie_nowhere_but_in_what_was_received(exchange: Exchange) -> None:
    world, shared = exchange.world, exchange.until("revealed")
    exchange.receive()
    secrets = [NAME, PASSWORD, IDENTITY_PASSWORD, DIAGNOSIS, shared["claim"]["image_hash"]]
    secrets += [
        load_identity(world.place / f"{name}.age", IDENTITY_PASSWORD).text
        for name in ("hospital", "clinic")
    ]
    places = (exchange.owner, exchange.recipient, world.place / "store", world.place / "state")
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    assert len(files) > 8
    for path in files:
        content = path.read_bytes().lower()
        for secret in secrets:
            assert secret.encode().lower() not in content, path
        for name in ("hospital", "clinic"):
            key = bytes(load_account(world.place / f"{name}.json", PASSWORD).key)
            assert key not in content, path
            assert key.hex().encode() not in content, path


COMMANDS = (
    "identity share publish reveal cancel withdraw offers accept receive complain refund settle "
    "watch grants audit"
)


@pytest.mark.parametrize("command", COMMANDS.split())
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"])
    assert done.exit_code == 0
    assert f"medwatermark {command}" in " ".join(done.stdout.split())
