"""Records, copies, batches and terms: the contracts know them by the same ids."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from chains import Chain, open_chain
from eth_account import Account
from eth_utils.address import to_checksum_address
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from MedWatermarkLib.claim import sign
from MedWatermarkLib.contract import Contract
from MedWatermarkLib.record import Copy, Record, RecordError, Struct
from MedWatermarkLib.record_batch import Batch, BatchedRecord, SignedBatch, sign_batch
from MedWatermarkLib.sale import Terms
from MedWatermarkLib.signature import SignatureError

RECORD = Record(bytes(32), 1, bytes(8), bytes(32), bytes(32), 1, bytes(32), "0x" + 40 * "1")
against_the_chain = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with open_chain("embedded") as chain:
        yield chain


_ACCOUNT = Account.create()


def structs(kind: type[Struct]) -> st.SearchStrategy[Any]:
    """Any struct of a kind."""
    values = {
        "address": st.binary(min_size=20, max_size=20).map(to_checksum_address),
        **{f"bytes{size}": st.binary(min_size=size, max_size=size) for size in (8, 32)},
        **{f"uint{bits}": st.integers(0, 2**bits - 1) for bits in (32, 64, 128, 256)},
    }
    return st.builds(kind, **{name: values[solidity] for name, solidity in kind.TYPES.items()})


def registry(chain: Chain) -> Contract:
    ledger = chain.administrator
    return Contract(ledger.web3, "ImageRegistry", ledger.config.registry)


@given(record=structs(Record))
@against_the_chain
def test_a_record_has_the_id_that_the_contract_gives_it(chain: Chain, record: Record) -> None:
    assert record.id == registry(chain).read("recordId", record.abi)


@given(copy=structs(Copy))
@against_the_chain
def test_a_copy_has_the_hash_that_the_contract_gives_it(chain: Chain, copy: Copy) -> None:
    assert copy.hash == registry(chain).read("copyHash", copy.abi)


@given(batch=structs(Batch))
@against_the_chain
def test_a_batch_has_the_id_that_the_contract_gives_it(chain: Chain, batch: Batch) -> None:
    assert batch.id == registry(chain).read("batchId", batch.abi)


@given(terms=structs(Terms))
@against_the_chain
def test_terms_have_the_id_that_the_contract_gives_them(chain: Chain, terms: Terms) -> None:
    ledger = chain.administrator
    exchange = Contract(ledger.web3, "FairExchange", ledger.config.exchange)
    assert ledger.exchange.sale_id(terms) == exchange.read("saleId", terms.abi)


@pytest.mark.parametrize(
    "wrong",
    [
        {"commitment": bytes(31)},
        {"commitment": "0" * 32},
        {"issued_at": 2**64},
        {"issued_at": -1},
        {"issued_at": True},
        {"chunk_count": 1.0},
        {"tag": bytes(32)},
        {"institution": "0x" + 40 * "1" + "1"},
        {"institution": "0xabcdefabcdefabcdefabcdefabcdefabcdefabcdef"[:42]},
        {"institution": bytes(20)},
    ],
    ids=str,
)
def test_a_field_that_the_ledger_cannot_keep_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match=next(iter(wrong)).replace("_", " ")):
        replace(RECORD, **wrong)


def test_the_signer_of_a_records_claim_is_recovered_as_the_claim_says(chain: Chain) -> None:
    claim = sign(bytes(32), "Normal.", chain.account())
    record = replace(RECORD, commitment=claim.commitment, issued_at=claim.issued_at)
    assert record.signer(claim.signature) == claim.signer


def test_a_signature_of_another_claim_recovers_to_another_signer(chain: Chain) -> None:
    claim = sign(bytes(32), "Normal.", chain.account())
    assert RECORD.signer(claim.signature) != claim.signer


@pytest.mark.parametrize("signature", [bytes(63), bytes(64), b"\xff" * 64], ids=["63", "0", "ff"])
def test_a_signature_that_nobody_can_have_made_is_refused(signature: bytes) -> None:
    with pytest.raises(SignatureError):
        RECORD.signer(signature)


@given(count=st.integers(1, 20))
@settings(max_examples=10, deadline=None)
def test_each_record_of_a_batch_is_placed_where_its_root_proves_it(count: int) -> None:
    signed = sign_batch(_records(count), _ACCOUNT, issued_at=5)
    assert signed.batch.authority == _ACCOUNT.address
    placed = signed.placed()
    assert [each.record for each in placed] == list(signed.records)
    assert all(each.holds() for each in placed)
    assert not any(
        BatchedRecord(each.batch, each.record, each.index + 1, each.path).holds() for each in placed
    )


def test_a_batch_is_of_one_institution_and_of_earlier_claims_and_not_empty() -> None:
    other = replace(RECORD, institution="0x" + 40 * "2")
    for records, issued_at in ([], 5), ([RECORD, other], 5), ([RECORD], 0):
        with pytest.raises(RecordError):
            sign_batch(records, _ACCOUNT, issued_at=issued_at)


def test_a_batch_that_was_changed_after_it_was_signed_has_another_authority() -> None:
    signed = sign_batch(_records(3), _ACCOUNT, issued_at=5)
    changed = SignedBatch(signed.records[:2], signed.issued_at, signed.signature)
    assert changed.batch.authority != _ACCOUNT.address


def _records(count: int) -> list[Record]:
    return [replace(RECORD, tag=secrets.token_bytes(8)) for _ in range(count)]
