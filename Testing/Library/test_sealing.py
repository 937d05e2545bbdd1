"""What is sealed opens for one identity and as it was, or not at all; so does what is sold."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyrage
import pytest
from eth_account import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from MedWatermarkLib.account import KeyFileError, WrongPasswordError
from MedWatermarkLib.claim import sign
from MedWatermarkLib.identity_file import create_identity_file, load_identity
from MedWatermarkLib.imageio import read_volume, write_volume
from MedWatermarkLib.keystream import cipher
from MedWatermarkLib.merkle import holds, leaf_hash, tree_of_chunks
from MedWatermarkLib.output import OutputExistsError
from MedWatermarkLib.package import new_mark_key
from MedWatermarkLib.package_errors import PackageError
from MedWatermarkLib.sale_file import (
    SaleFileError,
    WrongChunkError,
    check_sale_file,
    chunk_count,
    decipher_sale_file,
    leaves_tree,
    write_sale_file,
)
from MedWatermarkLib.sealed_package import (
    SealedPackage,
    read_sealed_package,
    write_sealed_package,
)
from MedWatermarkLib.sealing import (
    CommitmentError,
    DamagedSealError,
    Identity,
    IdentityError,
    RecipientError,
    SealError,
    WrongIdentityError,
    make_envelope,
    open_envelope,
    seal,
    unseal,
)
from MedWatermarkLib.volume import Volume

CLAIM = sign(bytes(32), "Left frontal meningioma.", Account.from_key(b"\x07" * 32))
IDENTITY = Identity.generate()
OTHER = Identity.generate()
KEY = bytes(range(32))

_many = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _sealed(content: bytes, identity: Identity = IDENTITY) -> bytes:
    target = io.BytesIO()
    seal(io.BytesIO(content), target, identity.recipient)
    return target.getvalue()


def _opened(sealed: bytes, identity: Identity = IDENTITY) -> bytes:
    target = io.BytesIO()
    unseal(io.BytesIO(sealed), target, identity)
    return target.getvalue()


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "scan.nrrd"
    values = np.random.default_rng(1).integers(-1000, 1000, (3, 50, 40), np.int16)
    write_volume(Volume(values), path)
    return path


@pytest.fixture(scope="module")
def sold(scan: Path) -> tuple[Path, SealedPackage]:
    place = scan.with_name("sealed")
    return place, write_sealed_package(scan, CLAIM, place, IDENTITY, mark_key=new_mark_key())


# Identities.


def test_an_identity_is_of_age_and_its_commitment_pinned_by_a_vector() -> None:
    # The secret key 00 01 ... 1f.
    text = "AGE-SECRET-KEY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0SWRYDWG"
    identity = Identity(text)
    assert identity.text == text
    assert identity.recipient == "age13aqvttdk3ujkyjh9kg2w5an6dmy5mq5a84a4uxk3hfhnugfc9p0sy5p2wh"
    assert identity.commitment == hashlib.sha256(text.encode()).digest()
    assert identity.commitment.hex() == (
        "5fb54bd9e3888034f566f5dcbea25411a70ef081d1d5d20cba06901c8e1e8b06"
    )
    assert Identity(f" {text.lower()}\n") == identity


def test_an_identity_never_shows_itself() -> None:
    secret = IDENTITY.text[16:]
    assert secret not in repr(IDENTITY) + str(IDENTITY) + f"{IDENTITY}"
    with pytest.raises(IdentityError) as error:
        Identity(IDENTITY.text[:-1] + ("Q" if IDENTITY.text[-1] != "Q" else "P"))
    assert secret[:20] not in str(error.value)
    # The cause, which a log would show, does not hold it either.
    assert error.value.__cause__ is None
    assert error.value.__context__ is None


@pytest.mark.parametrize("text", ["", "AGE-SECRET-KEY-1", "age1", "ssh-ed25519 AAAA", "x" * 9999])
def test_what_is_no_identity_or_recipient_is_refused(text: str) -> None:
    with pytest.raises(IdentityError):
        Identity(text)
    with pytest.raises(RecipientError):
        make_envelope(IDENTITY, text)


def test_identity_files_open_with_their_password_and_are_their_owners(tmp_path: Path) -> None:
    path = tmp_path / "identity.age"
    recipient = create_identity_file(path, "pässword")
    assert load_identity(path, "pässword").recipient == recipient
    assert path.stat().st_mode & 0o077 == 0
    assert path.read_bytes().startswith(b"-----BEGIN AGE ENCRYPTED FILE-----")
    with pytest.raises(WrongPasswordError):
        load_identity(path, "password")
    with pytest.raises(OutputExistsError):
        create_identity_file(path, "pässword")
    with pytest.raises(KeyFileError):
        create_identity_file(tmp_path / "other", "")
    with pytest.raises(KeyFileError):
        load_identity(tmp_path / "missing", "x")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(KeyFileError):
        load_identity(path, "pässword")


# Seals.


@_many
@given(st.binary(max_size=300_000) | st.sampled_from([65_535, 65_536, 131_072]).map(bytes))
def test_what_is_sealed_comes_back_as_it_was(content: bytes) -> None:
    sealed = _sealed(content)
    assert _opened(sealed) == content
    # An ordinary age file.
    key = pyrage.x25519.Identity.from_str(IDENTITY.text)
    assert pyrage.decrypt(sealed, [key]) == content


LONG = bytes(range(256)) * 600  # three chunks of age
LONG_SEALED = _sealed(LONG)


@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_a_seal_with_any_bit_flipped_does_not_open(data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, 8 * 400) | st.integers(0, 8 * len(LONG_SEALED) - 1))
    changed = bytearray(LONG_SEALED)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealError):
        _opened(bytes(changed))


@_many
@given(data=st.data())
def test_a_seal_with_bytes_lost_added_or_moved_does_not_open(data: st.DataObject) -> None:
    # Also at the borders of age's own chunks: 64 KiB and a tag of 16 bytes.
    payload = len(LONG_SEALED) - len(LONG) - 3 * 16
    borders = [payload + i * (65_536 + 16) for i in range(3)] + [len(LONG_SEALED)]
    places = st.sampled_from(borders) | st.integers(0, len(LONG_SEALED))
    start, stop = sorted((data.draw(places), data.draw(places)))
    for changed in (
        LONG_SEALED[:start],
        LONG_SEALED[:start] + LONG_SEALED[stop:],
        LONG_SEALED[:stop] + LONG_SEALED[start:],
        LONG_SEALED[:start] + bytes(stop - start) + LONG_SEALED[stop:],
        LONG_SEALED + LONG_SEALED[start:stop],
        LONG_SEALED + b"\0",
    ):
        if changed != LONG_SEALED:
            with pytest.raises(SealError):
                _opened(changed)


def test_another_identity_does_not_open_a_seal() -> None:
    with pytest.raises(WrongIdentityError):
        _opened(LONG_SEALED, OTHER)
    with pytest.raises(DamagedSealError, match="no sealed file"):
        _opened(b"PK\3\4" + bytes(1000))
    with pytest.raises(DamagedSealError):
        _opened(b"")


def test_cancelling_ends_sealing_and_opening() -> None:
    def cancel(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seal(io.BytesIO(LONG), io.BytesIO(), IDENTITY.recipient, cancel)
    with pytest.raises(KeyboardInterrupt):
        unseal(io.BytesIO(LONG_SEALED), io.BytesIO(), IDENTITY, cancel)


def test_a_full_disk_is_not_taken_for_a_damaged_seal() -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        unseal(io.BytesIO(LONG_SEALED), Full(), IDENTITY)


# Envelopes.


def test_an_envelope_brings_the_identity_to_its_recipient_alone() -> None:
    content = Identity.generate()
    envelope = make_envelope(content, IDENTITY.recipient)
    assert open_envelope(envelope, IDENTITY, content.commitment) == content
    with pytest.raises(WrongIdentityError):
        open_envelope(envelope, OTHER, content.commitment)
    with pytest.raises(CommitmentError):
        open_envelope(envelope, IDENTITY, OTHER.commitment)


@pytest.mark.parametrize("content", [b"", b"AGE-SECRET-KEY-1", bytes(200), bytes(100_000)])
def test_an_envelope_with_something_else_in_it_is_refused(content: bytes) -> None:
    with pytest.raises(DamagedSealError):
        open_envelope(_sealed(content), IDENTITY, bytes(32))


ENVELOPE = make_envelope(OTHER, IDENTITY.recipient)


@_many
@given(data=st.data())
def test_an_envelope_with_any_bit_flipped_is_refused(data: st.DataObject) -> None:
    envelope = bytearray(ENVELOPE)
    bit = data.draw(st.integers(0, 8 * len(envelope) - 1))
    envelope[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealError):
        open_envelope(bytes(envelope), IDENTITY, OTHER.commitment)


# Sealed packages.


def test_a_sealed_package_comes_back_as_it_was(
    scan: Path, sold: tuple[Path, SealedPackage], tmp_path: Path
) -> None:
    place, sealed = sold
    shares: list[float] = []
    package = read_sealed_package(place, IDENTITY, tmp_path / "out", progress=shares.append)
    assert np.array_equal(read_volume(package.image).voxels, read_volume(scan).voxels)
    assert package.manifest == sealed.manifest
    assert package.claim == CLAIM
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert sealed.content_commitment == IDENTITY.commitment
    assert sealed.size == place.stat().st_size
    with place.open("rb") as file:
        assert sealed.tree.root == tree_of_chunks(file).root
    assert {file.name for file in tmp_path.iterdir()} == {"out"}


def test_nothing_is_left_beside_a_sealed_package(
    scan: Path, tmp_path: Path, make_series: Callable[..., Path]
) -> None:
    write_sealed_package(scan, CLAIM, tmp_path / "sealed", IDENTITY)
    assert [file.name for file in tmp_path.iterdir()] == ["sealed"]
    identified = make_series()
    with pytest.raises(PackageError):
        write_sealed_package(identified, CLAIM, tmp_path / "other", IDENTITY)
    with pytest.raises(WrongIdentityError):
        read_sealed_package(tmp_path / "sealed", OTHER, tmp_path / "out")
    with pytest.raises(PackageError, match="cannot be read"):
        read_sealed_package(tmp_path / "missing", OTHER, tmp_path / "out")
    assert {file.name for file in tmp_path.iterdir()} == {"sealed", identified.name}


@pytest.mark.skipif(sys.platform == "win32", reason="the limit is of POSIX")
def test_a_disk_that_fills_up_while_a_package_is_opened_is_said(
    sold: tuple[Path, SealedPackage], tmp_path: Path
) -> None:
    script = (
        "import resource, sys\n"
        "from MedWatermarkLib.output import OutputError\n"
        "from MedWatermarkLib.sealed_package import read_sealed_package\n"
        "from MedWatermarkLib.sealing import Identity\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "try:\n"
        "    read_sealed_package(sys.argv[1], Identity(sys.stdin.read()), sys.argv[2])\n"
        "except OutputError as error:\n"
        "    print(error)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, str(sold[0]), str(tmp_path / "out")],
        input=IDENTITY.text,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert "out cannot be written: File too large." in told.stdout
    assert list(tmp_path.iterdir()) == []


# What is sold.


def test_a_sale_goes_from_hand_to_hand(sold: tuple[Path, SealedPackage], tmp_path: Path) -> None:
    place, sealed = sold
    offered = write_sale_file(place, tmp_path / "offered", KEY)
    assert (tmp_path / "offered").stat().st_size == 1024 * sealed.tree.count
    tree = check_sale_file(tmp_path / "offered", sealed.size, offered.root)
    leaves = leaves_tree(sealed.tree.leaves.tobytes(), sealed.tree.root, sealed.size)
    decipher_sale_file(tmp_path / "offered", tmp_path / "bought", KEY, sealed.size, leaves)
    assert (tmp_path / "bought").read_bytes() == place.read_bytes()
    # Any chunk can be shown to the contract.
    chunk = (tmp_path / "offered").read_bytes()[5 * 1024 : 6 * 1024]
    assert holds(offered.root, tree.count, 5, leaf_hash(5, chunk), tree.path(5))
    plain = cipher(KEY, 5, chunk)
    assert holds(sealed.tree.root, leaves.count, 5, leaf_hash(5, plain), leaves.path(5))


def test_a_wrong_chunk_or_key_is_found_and_located(
    sold: tuple[Path, SealedPackage], tmp_path: Path
) -> None:
    place, sealed = sold
    content = bytearray(place.read_bytes())
    content[7 * 1024 + 300] ^= 4
    (tmp_path / "cheated").write_bytes(content)
    write_sale_file(tmp_path / "cheated", tmp_path / "offered", KEY)
    arguments = tmp_path / "offered", tmp_path / "bought"
    with pytest.raises(WrongChunkError) as error:
        decipher_sale_file(*arguments, KEY, sealed.size, sealed.tree)
    assert error.value.index == 7
    with pytest.raises(WrongChunkError) as error:
        decipher_sale_file(*arguments, bytes(32), sealed.size, sealed.tree)
    assert error.value.index == 0
    assert not (tmp_path / "bought").exists()


def test_a_sale_of_another_size_or_root_is_refused(
    sold: tuple[Path, SealedPackage], tmp_path: Path
) -> None:
    place, sealed = sold
    offered = write_sale_file(place, tmp_path / "offered", KEY)
    with pytest.raises(SaleFileError):
        check_sale_file(tmp_path / "offered", sealed.size, sealed.tree.root)
    for size in (0, -5, sealed.size + 1024, sealed.size - 1024):
        with pytest.raises(SaleFileError):
            check_sale_file(tmp_path / "offered", size, offered.root)
        with pytest.raises(SaleFileError):
            leaves_tree(sealed.tree.leaves.tobytes(), sealed.tree.root, size)
        with pytest.raises(SaleFileError):
            decipher_sale_file(tmp_path / "offered", tmp_path / "bought", KEY, size, sealed.tree)
    with pytest.raises(SaleFileError):
        leaves_tree(sealed.tree.leaves.tobytes(), offered.root, sealed.size)


@_many
@given(data=st.data())
def test_a_flipped_bit_in_what_is_sold_is_refused(
    sold: tuple[Path, SealedPackage], tmp_path: Path, data: st.DataObject
) -> None:
    place, sealed = sold
    offered = tmp_path / "offered"
    tree = (
        tree_of_chunks(offered.open("rb"))
        if offered.exists()
        else write_sale_file(place, offered, KEY)
    )
    content = bytearray(offered.read_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    changed = tmp_path / "changed"
    changed.write_bytes(content)
    with pytest.raises(SaleFileError):
        check_sale_file(changed, sealed.size, tree.root)
    with pytest.raises(WrongChunkError) as error:
        decipher_sale_file(changed, tmp_path / "bought", KEY, sealed.size, sealed.tree)
    assert error.value.index == bit // 8 // 1024
    leaves = bytearray(sealed.tree.leaves.tobytes())
    bit %= 8 * len(leaves)
    leaves[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SaleFileError):
        leaves_tree(bytes(leaves), sealed.tree.root, sealed.size)


def test_chunks_are_counted_up() -> None:
    assert [chunk_count(size) for size in (1, 1023, 1024, 1025)] == [1, 1, 1, 2]
