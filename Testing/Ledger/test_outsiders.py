"""What is on the chain and in a store, whoever reads it, opens no package."""

from __future__ import annotations

import base64
import hashlib
import io
import logging
from collections.abc import Iterable, Iterator

import pyrage
import pytest
from chains import Chain, open_chain
from deals import CONTENT, Deal, MakeDeal
from eth_utils.crypto import keccak

from MedWatermarkLib.cheat import Cheat
from MedWatermarkLib.exchange import Owner
from MedWatermarkLib.keystream import cipher
from MedWatermarkLib.offer import Note, new_salt, sale_key
from MedWatermarkLib.sale_events import Revealed
from MedWatermarkLib.sealing import Identity, WrongIdentityError, unseal

_CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with open_chain("anvil") as chain:
        yield chain


def _identity(secret: bytes) -> Identity:
    """Return the age identity of 32 bytes (Bech32, BIP 173)."""
    bits = int.from_bytes(secret) << 4
    values = [bits >> shift & 31 for shift in range(255, -1, -5)]
    prefix = "age-secret-key-"
    expanded = [ord(each) >> 5 for each in prefix] + [0] + [ord(each) & 31 for each in prefix]
    check = 1
    for value in [*expanded, *values, *[0] * 6]:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for index, word in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= word if top >> index & 1 else 0
    check ^= 1
    values += [check >> shift & 31 for shift in range(25, -1, -5)]
    return Identity((prefix + "1" + "".join(_CHARACTERS[value] for value in values)).upper())


def _published(deal: Deal, first: int) -> list[bytes]:
    """Return all that anyone sent to the chain since a block, all that it noted, and the store."""
    eth, found = deal.buyer.web3.eth, []
    for number in range(first, eth.block_number + 1):
        for transaction in eth.get_block(number, full_transactions=True)["transactions"]:
            found += [bytes(transaction["input"]), *(bytes(transaction[each]) for each in "rs")]
            for log in eth.get_transaction_receipt(transaction["hash"])["logs"]:
                found += [*map(bytes, log["topics"]), bytes(log["data"])]
    return found + [path.read_bytes() for path in (deal.place / "store").iterdir()]


def _windows(content: bytes, size: int = 32) -> set[bytes]:
    return {content[start : start + size] for start in range(len(content) - size + 1)}


def _openers(words: Iterable[bytes], key: bytes, salts: Iterable[bytes]) -> set[bytes]:
    """Return what an outsider would try: each word, and what can be made of it."""
    tried, salts = set(words), list(salts)
    for word in list(tried):
        other = bytes(one ^ two for one, two in zip(word, key, strict=True))
        tried |= {word[::-1], other, keccak(word), hashlib.sha256(word).digest()}
        tried |= {hashlib.sha256(pair).digest() for pair in (word + key, key + word)}
        tried |= {sale_key(_identity(word), salt) for salt in salts}
    return tried


def _opens(sealed: bytes, words: Iterable[bytes]) -> bool:
    """Tell whether any of many words opens an age file."""
    identities = [pyrage.x25519.Identity.from_str(_identity(word).text) for word in words]
    try:
        pyrage.decrypt(sealed, identities)
    except pyrage.DecryptError as error:
        failure = str(error)
    else:
        return True
    assert "No matching keys" in failure
    return False


@pytest.mark.parametrize("kind", [Owner, Cheat])
def test_an_outsider_opens_nothing_with_all_that_was_published(
    make_deal: MakeDeal, kind: type[Owner]
) -> None:
    deal = make_deal(kind)
    first = deal.buyer.web3.eth.block_number + 1
    deal.until("revealed")
    deal.owner.grant(deal.reader.recipient, deal.keeper, deal.store)
    assert (deal.recipient.receive() is None) == (kind is Cheat)
    published = _published(deal, first)
    (event,) = deal.buyer.exchange.events([Revealed], id=deal.recipient.sale_id)
    assert isinstance(event, Revealed)
    notes = [Note.from_bytes(each) for each in published if each.startswith(b'{"envelope":')]
    # With the key the sealed package lies open to all, but for the chunk that is wrong.
    name = next(note.file for note in notes if note.leaves)
    deciphered = cipher(event.key, 0, (deal.place / "store" / name).read_bytes())
    sealed = deal.sealed.read_bytes()
    assert (deciphered[: len(sealed)] == sealed) == (kind is Owner)
    published += [deciphered, event.key, *(note.envelope for note in notes)]

    assert not _windows(CONTENT, 16) & _windows(b"\0".join(published), 16)
    whole = b"\0".join(published).upper()
    for identity in (deal.content, deal.keeper, deal.reader):
        assert identity.text.encode() not in whole
    # What is of 32 bytes on the chain, or a field of a note, and what can be made of these.
    words = {each for each in published if len(each) == 32}
    words |= {each[at : at + 32] for each in published for at in range(4, len(each) - 31, 32)}
    words |= {bytes.fromhex(text) for note in notes for text in (note.file, note.leaves) if text}
    salts = [note.salt for note in notes if note.salt]
    tried = _openers(words | set(salts), event.key, salts)
    for closed in (sealed, *{note.envelope for note in notes}):
        assert not _opens(closed, tried)
    # And any 32 bytes in a row, wherever they stand.
    assert not _opens(sealed, set().union(*map(_windows, published)))
    with pytest.raises(WrongIdentityError):
        unseal(io.BytesIO(sealed), io.BytesIO(), deal.reader)


def test_what_is_tried_would_open_a_package_if_its_secret_was_there() -> None:
    word, key = bytes(range(32, 64)), bytes(range(32))
    secret = hashlib.sha256(word).digest()
    recipient = pyrage.x25519.Recipient.from_str(_identity(secret).recipient)
    sealed = pyrage.encrypt(b"content", [recipient])
    masked = bytes(one ^ two for one, two in zip(secret, key, strict=True))
    for published in (secret, secret[::-1], word, masked):
        assert _opens(sealed, _openers([bytes(32), published], key, [bytes(32)]))
    assert not _opens(sealed, _openers([bytes(32), key], key, [bytes(32)]))


def test_the_key_of_a_sale_and_the_identities_are_in_no_file_before_they_should(
    deal: Deal, caplog: pytest.LogCaptureFixture
) -> None:
    first = deal.buyer.web3.eth.block_number + 1
    caplog.set_level(logging.DEBUG)
    deal.until("accepted")
    note = deal.owner._state.note
    assert note is not None
    key = sale_key(deal.keeper, note.salt)
    written = b"".join(path.read_bytes() for path in deal.files())
    written += b"".join(_published(deal, first)) + caplog.text.encode()
    written += repr((deal.owner._state, deal.recipient._state)).encode()
    for identity in (deal.content, deal.keeper, deal.reader):
        assert identity.text.encode() not in written.upper()
    for form in (key, key.hex().encode(), base64.b64encode(key)):
        assert form not in written
    assert CONTENT[:32] not in written
    deal.reveal()
    assert key in b"".join(_published(deal, first))


def test_a_salt_gives_each_owner_another_key_and_each_sale_too() -> None:
    one, other = Identity.generate(), Identity.generate()
    assert sale_key(one, bytes(32)) != sale_key(other, bytes(32))
    assert sale_key(one, bytes(32)) != sale_key(one, new_salt())


def test_the_bech32_of_these_tests_is_that_of_age() -> None:
    text = "AGE-SECRET-KEY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0SWRYDWG"
    assert _identity(bytes(range(32))).text == text
