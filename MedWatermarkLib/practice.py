"""A ledger to practise with: the embedded chain, served to programs on this computer alone.

Coins are worth nothing here, and whatever was registered goes with the process.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import product
from pathlib import Path
from threading import Thread
from typing import Any, BinaryIO

from eth_typing import ChecksumAddress
from web3 import Web3
from web3.types import RPCEndpoint, RPCResponse

from MedWatermarkLib.embedded_chain import EmbeddedChain
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.report import Report
from MedWatermarkLib.tables import grid

_GREATEST_REQUEST = 1 << 20
_DAY = 86_400


class _Node(HTTPServer):
    """Answers one request after the other: the chain is not made for several at once."""

    def __init__(self, chain: EmbeddedChain) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        # What a client adds to its answers, it adds itself.
        web3 = Web3(chain.web3.provider)
        self._ask = web3.provider.request_func(web3, web3.middleware_onion)
        self._chain = chain

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def ask(self, method: RPCEndpoint, parameters: Any) -> RPCResponse:
        if method == "evm_increaseTime":  # As anvil calls it.
            self._chain.advance(int(parameters[0]))
            return {"result": parameters[0]}
        return self._ask(method, parameters)


class _Handler(BaseHTTPRequestHandler):
    """JSON-RPC 2.0 over HTTP, as nodes speak it."""

    server: _Node

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if length > _GREATEST_REQUEST:
            self.send_error(413)
            return
        asked = json.loads(self.rfile.read(length))
        many = isinstance(asked, list)
        answers = [self._answer(one) for one in (asked if many else [asked])]
        told: Any = answers if many else answers[0]
        body = Web3.to_json(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": asked.get("id")}
        try:
            said = self.server.ask(RPCEndpoint(asked["method"]), asked.get("params", []))
        except Exception as error:
            return answer | {"error": {"code": -32603, "message": type(error).__name__}}
        part = "error" if said.get("error") else "result"
        return answer | {part: said.get(part)}

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: requests are no news."""


def serve_practice(
    path: Path,
    members: Sequence[ChecksumAddress],
    report: Report,
    lifeline: BinaryIO | None = None,
) -> None:
    """Serve a ledger until the process is ended, and say where it is.

    Parameters
    ----------
    path : pathlib.Path
        New file for the node and the addresses.
    members : sequence of str
        Addresses of accounts, which get coins; each may register for itself what any of them
        vouches for, for a year.
    report : Report
    lifeline : file, optional
        A pipe whose other end whoever started this holds: the end of it ends this too.
    """
    ledger = Ledger.embedded()
    chain = ledger.chain
    assert chain is not None
    for address in members:
        chain.fund(address)
    now = ledger.status().time
    for institution, authority in product(members, members):
        ledger.registry.accredit(institution, authority, now - _DAY, now + 365 * _DAY)
    with _Node(chain) as node:
        replace(ledger.config, url=node.url).write(path)
        report.result(
            {"command": "practice", "ledger": str(path), "url": node.url, "members": [*members]},
            grid([("Ledger", str(path)), ("Members", ", ".join(members))]),
        )
        if lifeline is not None:
            Thread(target=_end_with, args=(lifeline, node), daemon=True).start()
        node.serve_forever()


def _end_with(lifeline: BinaryIO, node: _Node) -> None:
    lifeline.read()
    node.shutdown()
