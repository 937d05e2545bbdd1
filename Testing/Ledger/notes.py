"""Contracts of a few bytes, written by hand, that show how often something was executed."""

from __future__ import annotations

from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from web3 import Web3

# Logs its input: CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY CALLDATASIZE PUSH0 LOG0 STOP
NOTEBOOK = bytes.fromhex("365f5f37365fa000")
# Takes one call; of all later ones, gives their input back as it refuses:
# PUSH0 SLOAD PUSH1 10 JUMPI PUSH1 1 PUSH0 SSTORE STOP
# JUMPDEST CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY CALLDATASIZE PUSH0 REVERT
FIRST_COME = bytes.fromhex("5f54600a5760015f55005b365f5f37365ffd")


def creation(runtime: bytes) -> bytes:
    """Return the code that creates a contract of less than 256 bytes."""
    # PUSH1 size DUP1 PUSH1 9 PUSH0 CODECOPY PUSH0 RETURN
    return bytes([0x60, len(runtime), 0x80, 0x60, 9, 0x5F, 0x39, 0x5F, 0xF3]) + runtime


def notes(web3: Web3, notebook: ChecksumAddress) -> list[bytes]:
    """Return what was written into a notebook, in the order of the chain."""
    logs = web3.eth.get_logs({"address": notebook, "fromBlock": 0})
    return [bytes(HexBytes(log["data"])) for log in logs]
