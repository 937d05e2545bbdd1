"""The journal of what an account sends to a chain, kept before it is sent.

An *intent* is something to be done once, under a name. An *attempt* at it holds one nonce of the
account; its *variants* are signed transactions on that nonce, of which a chain can include one
only. What a crash leaves behind is therefore always whole: a nonce with the bytes to be sent again.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from MedWatermarkLib.ledger_errors import IntentConflictError, JournalError

_VERSION = 1
# Signing within the lock takes milliseconds; this is for a disk that stalls.
_LOCK_TIMEOUT = 30.0
_SCHEMA = """
CREATE TABLE intents (
    id INTEGER PRIMARY KEY,
    chain TEXT NOT NULL,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    target TEXT,
    data BLOB NOT NULL,
    value TEXT NOT NULL,
    UNIQUE (chain, account, name)
);
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    intent INTEGER NOT NULL REFERENCES intents,
    chain TEXT NOT NULL,
    account TEXT NOT NULL,
    nonce INTEGER NOT NULL,
    gas INTEGER NOT NULL,
    block INTEGER NOT NULL,
    state TEXT NOT NULL
);
CREATE UNIQUE INDEX nonces ON attempts (chain, account, nonce) WHERE state != 'released';
CREATE INDEX attempts_of_intents ON attempts (intent);
CREATE TABLE variants (
    id INTEGER PRIMARY KEY,
    attempt INTEGER NOT NULL REFERENCES attempts,
    hash BLOB NOT NULL,
    raw BLOB NOT NULL,
    fee INTEGER NOT NULL,
    tip INTEGER NOT NULL,
    filler INTEGER NOT NULL,
    signed_at REAL NOT NULL
);
CREATE INDEX variants_of_attempts ON variants (attempt);
"""


class State(StrEnum):
    """How far an attempt is."""

    OPEN = "open"
    """Journalled, and to be brought to the chain."""
    CANCELLED = "cancelled"
    """The node would not have it, but later nonces wait for its own: a filler is to take it."""
    DONE = "done"
    """Executed and confirmed."""
    REFUSED = "refused"
    """Mined and confirmed, and the contract refused: its nonce is used, and nothing was done."""
    RELEASED = "released"
    """The node would not have it, and it never was in a pool: its nonce is free again."""
    VOID = "void"
    """Its nonce was used by another transaction, confirmed: it can never be executed."""


@dataclass(frozen=True)
class Call:
    """What an intent does.

    Attributes
    ----------
    to : str or None
        Address with checksum (EIP-55); None creates a contract.
    data : bytes
        Its input.
    value : int
        In wei.
    """

    to: str | None
    data: bytes
    value: int = 0


@dataclass(frozen=True)
class Variant:
    """One signed transaction on the nonce of an attempt.

    Attributes
    ----------
    hash, raw : bytes
        The transaction's hash, and the bytes to send.
    fee, tip : int
        Greatest fee and greatest tip, in wei per gas (EIP-1559).
    filler : bool
        Whether it does nothing but use up the nonce.
    signed_at : float
        In seconds since 1970-01-01 UTC.
    """

    hash: bytes
    raw: bytes
    fee: int
    tip: int
    filler: bool = False
    signed_at: float = 0.0


@dataclass(frozen=True)
class Attempt:
    """A nonce that was taken for an intent.

    Attributes
    ----------
    id : int
        Its number in the journal.
    intent : str
        The intent's name.
    call : Call
        What it does.
    nonce : int
        Its place among the transactions of the account.
    gas : int
        The gas limit.
    block : int
        The chain's height when the nonce was taken.
    state : State
        How far it is.
    variants : tuple of Variant
        In the order in which they were signed.
    """

    id: int
    intent: str
    call: Call
    nonce: int
    gas: int
    block: int
    state: State
    variants: tuple[Variant, ...]


class Journal:
    """A file of SQLite; threads and processes of one account may share it.

    It holds no keys: signed transactions only, which the chain shows to everyone sooner or later.
    Every change is on the disk before the call returns. A process that forks opens its own.

    Parameters
    ----------
    path : path-like
        Made where it is missing, readable by its owner alone; its folder must exist.

    Raises
    ------
    JournalError
        If it cannot be opened, or is none, or one of a later version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._threads = threading.RLock()
        with self._understanding():
            # Not by SQLite, which would make it readable by all.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            self._database = sqlite3.connect(
                self._path, timeout=_LOCK_TIMEOUT, isolation_level=None, check_same_thread=False
            )
        try:
            self._prepare()
        except BaseException:
            self._database.close()
            raise

    def __repr__(self) -> str:
        return f"Journal({str(self._path)!r})"

    def close(self) -> None:
        """Let go of the file."""
        with self._threads:
            self._database.close()

    def attempts(
        self, chain: str, account: str, *, intent: str | None = None, nonce: int = 0
    ) -> list[Attempt]:
        """Return what was attempted.

        Parameters
        ----------
        chain : str
            Which chain, as `begin` was told.
        account : str
            Which account.
        intent : str, optional
            Only those of this intent.
        nonce : int
            Only those from this nonce on.

        Returns
        -------
        list of Attempt
            In the order of their nonces, and of one nonce in the order of time.
        """
        where = "a.chain = ? AND a.account = ? AND a.nonce >= ?"
        values: tuple[str | int, ...] = (chain, account, nonce)
        if intent is not None:
            where, values = f"{where} AND i.name = ?", (*values, intent)
        with self._locked():
            return self._read(where, values)

    def begin(
        self,
        chain: str,
        account: str,
        intent: str,
        call: Call,
        *,
        gas: int,
        block: int,
        least_nonce: int,
        sign: Callable[[int], Variant],
    ) -> tuple[Attempt, bool]:
        """Take the next nonce for an intent, and keep the transaction that is signed on it.

        Parameters
        ----------
        chain, account, intent : str
            Whose intent on which chain, and its name.
        call : Call
            What it does.
        gas : int
            The gas limit.
        block : int
            The chain's height.
        least_nonce : int
            The count of the account's transactions that the node knows, pending ones included.
        sign : callable
            Makes the transaction for the nonce it is given; it must not ask a node, since the
            journal is locked meanwhile.

        Returns
        -------
        tuple of Attempt and bool
            The new one and True; or where the intent has one under way or done by now, that one
            and False.

        Raises
        ------
        IntentConflictError
            If the intent is known to do something else.
        """
        with self._locked(write=True):
            number = self._intent(chain, account, intent, call)
            running = self._read(
                "i.id = ? AND a.state IN (?, ?, ?)",
                (number, State.OPEN, State.CANCELLED, State.DONE),
            )
            if running:
                return running[-1], False
            (highest,) = self._database.execute(
                "SELECT max(nonce) FROM attempts WHERE chain = ? AND account = ? AND state != ?",
                (chain, account, State.RELEASED),
            ).fetchone()
            nonce = max(least_nonce, -1 if highest is None else highest + 1)
            added = self._database.execute(
                "INSERT INTO attempts (intent, chain, account, nonce, gas, block, state)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (number, chain, account, nonce, gas, block, State.OPEN),
            ).lastrowid
            assert added is not None
            self._add(added, sign(nonce))
            return self._one(added), True

    def attempt(self, number: int) -> Attempt:
        """Return one attempt as it is now.

        Parameters
        ----------
        number : int
            Its `Attempt.id`.

        Returns
        -------
        Attempt
            With the variants that others added, too.
        """
        with self._locked():
            return self._one(number)

    def replace(self, attempt: Attempt, sign: Callable[[], Variant]) -> Attempt:
        """Keep a further variant of an attempt, unless another process was quicker.

        Parameters
        ----------
        attempt : Attempt
            As it was read.
        sign : callable
            Makes the variant; it must not ask a node.

        Returns
        -------
        Attempt
            With the new variant, its own or the other's.
        """
        with self._locked(write=True):
            present = self._one(attempt.id)
            if present.variants == attempt.variants and present.state == attempt.state:
                self._add(attempt.id, sign())
            return self._one(attempt.id)

    def release(self, attempt: Attempt) -> Attempt:
        """Give the nonce of an attempt back, which never was in a node's pool.

        Parameters
        ----------
        attempt : Attempt
            Whose only variant the node would not have.

        Returns
        -------
        Attempt
            Released; or where later nonces are taken already, cancelled.
        """
        with self._locked(write=True):
            (later,) = self._database.execute(
                "SELECT count(*) FROM attempts JOIN attempts AS mine ON mine.id = ?"
                " WHERE attempts.chain = mine.chain AND attempts.account = mine.account"
                " AND attempts.nonce > mine.nonce AND attempts.state != ?",
                (attempt.id, State.RELEASED),
            ).fetchone()
            self._set(attempt.id, State.CANCELLED if later else State.RELEASED)
            return self._one(attempt.id)

    def mark(self, attempt: Attempt, state: State) -> Attempt:
        """Note how far an attempt is.

        Parameters
        ----------
        attempt : Attempt
            Which one.
        state : State
            How far.

        Returns
        -------
        Attempt
            As it is now.
        """
        with self._locked(write=True):
            self._set(attempt.id, state)
            return self._one(attempt.id)

    # --- Parts, all of them within the lock ---

    @contextmanager
    def _understanding(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise JournalError(
                f"The journal {self._path} cannot be used ({error}); nothing is sent without it."
            ) from error

    @contextmanager
    def _locked(self, *, write: bool = False) -> Iterator[None]:
        """One view of the file; with `write`, the only one, and all of it or nothing."""
        with self._threads, self._understanding():
            self._database.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                self._database.rollback()
                raise

    def _prepare(self) -> None:
        with self._understanding():
            # One file, whole on any disk, also after a loss of power; speed is not wanted here.
            self._database.execute("PRAGMA journal_mode = DELETE")
            self._database.execute("PRAGMA synchronous = EXTRA")
            self._database.execute("PRAGMA foreign_keys = ON")
        with self._locked(write=True):
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise JournalError(
                    f"The journal {self._path} is of a later MedWatermark: update this one."
                )
            if version == 0:
                for statement in _SCHEMA.split(";")[:-1]:
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA user_version = {_VERSION}")

    def _intent(self, chain: str, account: str, name: str, call: Call) -> int:
        """Return the number of an intent, which is new or does the same."""
        found = self._database.execute(
            "SELECT id, target, data, value FROM intents"
            " WHERE chain = ? AND account = ? AND name = ?",
            (chain, account, name),
        ).fetchone()
        if found is not None:
            if Call(found[1], found[2], int(found[3])) != call:
                raise IntentConflictError(name)
            return int(found[0])
        added = self._database.execute(
            "INSERT INTO intents (chain, account, name, target, data, value)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            # Wei outgrow SQLite's 64 bits.
            (chain, account, name, call.to, call.data, str(call.value)),
        ).lastrowid
        assert added is not None
        return added

    def _add(self, attempt: int, variant: Variant) -> None:
        self._database.execute(
            "INSERT INTO variants (attempt, hash, raw, fee, tip, filler, signed_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                attempt,
                variant.hash,
                variant.raw,
                variant.fee,
                variant.tip,
                int(variant.filler),
                time.time(),
            ),
        )

    def _set(self, attempt: int, state: State) -> None:
        self._database.execute("UPDATE attempts SET state = ? WHERE id = ?", (state, attempt))

    def _one(self, attempt: int) -> Attempt:
        return self._read("a.id = ?", (attempt,))[0]

    def _read(self, where: str, values: tuple[str | int, ...]) -> list[Attempt]:
        rows = self._database.execute(
            "SELECT a.id, i.name, i.target, i.data, i.value, a.nonce, a.gas, a.block, a.state"
            f" FROM attempts AS a JOIN intents AS i ON i.id = a.intent WHERE {where}"
            " ORDER BY a.nonce, a.id",
            values,
        ).fetchall()
        return [
            Attempt(
                number,
                name,
                Call(target, data, int(value)),
                nonce,
                gas,
                block,
                State(state),
                self._variants(number),
            )
            for number, name, target, data, value, nonce, gas, block, state in rows
        ]

    def _variants(self, attempt: int) -> tuple[Variant, ...]:
        rows = self._database.execute(
            "SELECT hash, raw, fee, tip, filler, signed_at FROM variants"
            " WHERE attempt = ? ORDER BY id",
            (attempt,),
        )
        return tuple(
            Variant(digest, raw, fee, tip, bool(filler), signed_at)
            for digest, raw, fee, tip, filler, signed_at in rows
        )
