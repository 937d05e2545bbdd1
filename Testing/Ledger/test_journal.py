"""The journal: nobody gets the nonce of another, and nothing is half written."""

from __future__ import annotations

import multiprocessing
import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MedWatermarkLib.journal import Attempt, Call, Journal, State, Variant
from MedWatermarkLib.ledger_errors import IntentConflictError, JournalError

CHAIN, ACCOUNT = "31337:00", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
CALL = Call("0x5FbDB2315678afecb367f032d93F642f64180aa3", b"\x01\x02", 2**200)


def _variant(nonce: int, *, filler: bool = False) -> Variant:
    return Variant(nonce.to_bytes(32), b"raw", fee=2 * 10**9, tip=10**9, filler=filler)


def _begin(journal: Journal, intent: str, *, call: Call = CALL, least_nonce: int = 0) -> Attempt:
    attempt, _ = journal.begin(
        CHAIN,
        ACCOUNT,
        intent,
        call,
        gas=21_000,
        block=3,
        least_nonce=least_nonce,
        sign=_variant,
    )
    return attempt


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal")
    yield opened
    opened.close()


def test_what_was_begun_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal")
    attempt = _begin(first, "pay")
    first.close()
    second = Journal(tmp_path / "journal")
    assert second.attempts(CHAIN, ACCOUNT) == [attempt]
    assert (attempt.call, attempt.nonce, attempt.state) == (CALL, 0, State.OPEN)
    assert replace(attempt.variants[0], signed_at=0.0) == _variant(0)
    second.close()


def test_an_intent_that_is_under_way_or_done_gets_no_second_nonce(journal: Journal) -> None:
    attempt = _begin(journal, "pay")
    assert _begin(journal, "pay") == attempt
    done = journal.mark(attempt, State.DONE)
    assert _begin(journal, "pay", least_nonce=7) == done
    assert len(journal.attempts(CHAIN, ACCOUNT)) == 1


@pytest.mark.parametrize("state", [State.REFUSED, State.VOID])
def test_an_intent_that_had_no_effect_gets_a_new_nonce(journal: Journal, state: State) -> None:
    journal.mark(_begin(journal, "pay"), state)
    assert _begin(journal, "pay").nonce == 1


@pytest.mark.parametrize(
    "other", [replace(CALL, to=None), replace(CALL, data=b""), replace(CALL, value=1)]
)
def test_a_name_stands_for_one_thing(journal: Journal, other: Call) -> None:
    _begin(journal, "pay")
    with pytest.raises(IntentConflictError):
        _begin(journal, "pay", call=other)


def test_nonces_the_node_knows_of_are_passed_over(journal: Journal) -> None:
    assert _begin(journal, "one", least_nonce=5).nonce == 5
    assert _begin(journal, "two", least_nonce=0).nonce == 6
    assert _begin(journal, "three", least_nonce=9).nonce == 9


def test_chains_and_accounts_are_counted_apart(journal: Journal) -> None:
    _begin(journal, "pay")
    for chain, account in (("1:00", ACCOUNT), (CHAIN, "0x" + "11" * 20)):
        attempt, is_new = journal.begin(
            chain, account, "pay", CALL, gas=1, block=0, least_nonce=0, sign=_variant
        )
        assert is_new
        assert attempt.nonce == 0


def test_the_last_nonce_is_given_back_and_taken_again(journal: Journal) -> None:
    _begin(journal, "one")
    assert journal.release(_begin(journal, "two")).state is State.RELEASED
    assert _begin(journal, "three").nonce == 1


def test_a_nonce_before_others_is_not_given_back_but_filled(journal: Journal) -> None:
    first = _begin(journal, "one")
    _begin(journal, "two")
    assert journal.release(first).state is State.CANCELLED
    assert _begin(journal, "three").nonce == 2


def test_no_nonce_is_taken_where_signing_fails(journal: Journal) -> None:
    def refuse(nonce: int) -> Variant:
        raise RuntimeError("no key")

    with pytest.raises(RuntimeError):
        journal.begin(CHAIN, ACCOUNT, "a", CALL, gas=1, block=0, least_nonce=0, sign=refuse)
    assert journal.attempts(CHAIN, ACCOUNT) == []
    assert _begin(journal, "a", call=replace(CALL, value=5)).nonce == 0


def test_of_two_who_replace_the_same_the_first_wins(journal: Journal) -> None:
    attempt = _begin(journal, "pay")
    first = journal.replace(attempt, lambda: _variant(100))
    second = journal.replace(attempt, lambda: _variant(200))
    assert [variant.hash for variant in second.variants] == [_variant(n).hash for n in (0, 100)]
    assert first == second


def test_threads_on_one_journal_get_nonces_of_their_own(journal: Journal) -> None:
    with ThreadPoolExecutor(8) as threads:
        nonces = list(threads.map(lambda n: _begin(journal, f"pay {n}").nonce, range(40)))
    assert sorted(nonces) == list(range(40))


def _begin_many(path: Path, process: int) -> list[int]:
    journal = Journal(path)
    nonces = [_begin(journal, f"pay {process}.{n}").nonce for n in range(15)]
    journal.close()
    return nonces


def test_processes_on_one_file_get_nonces_of_their_own(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as processes:
        lists = processes.starmap(_begin_many, [(tmp_path / "journal", n) for n in range(2)])
    assert sorted(lists[0] + lists[1]) == list(range(30))


# What can happen to an account: an intent is begun, or the one of a number given back or done.
_STEPS = st.lists(
    st.tuples(st.sampled_from(["begin", "release", "finish"]), st.integers(0, 9)), max_size=16
)


@settings(max_examples=25, deadline=None)
@given(steps=_STEPS)
def test_live_nonces_have_neither_gaps_nor_doubles(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    journal = Journal(tmp_path_factory.mktemp("law") / "journal")
    for count, (step, choice) in enumerate(steps):
        fresh = [a for a in journal.attempts(CHAIN, ACCOUNT) if a.state is State.OPEN]
        if step == "begin":
            _begin(journal, f"pay {count}")
        elif fresh and step == "release":
            journal.release(fresh[choice % len(fresh)])
        elif fresh:
            journal.mark(fresh[choice % len(fresh)], State.DONE)
        attempts = journal.attempts(CHAIN, ACCOUNT)
        live = [a.nonce for a in attempts if a.state is not State.RELEASED]
        assert live == list(range(len(live)))
    journal.close()


def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    Journal(tmp_path / "journal").close()
    assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) == 0o600


def test_what_is_no_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    place = tmp_path / "letter.txt"
    place.write_bytes(b"Dear colleague, " * 100)
    with pytest.raises(JournalError, match=r"letter\.txt"):
        Journal(place)
    assert place.read_bytes() == b"Dear colleague, " * 100


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "journal").close()
    with sqlite3.connect(tmp_path / "journal") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(JournalError, match="update"):
        Journal(tmp_path / "journal")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="nowhere"):
        Journal(tmp_path / "nowhere" / "journal")
