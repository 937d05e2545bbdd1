"""The section *Receive*: what is offered to one, what was bought, and into the scene with it."""

from slicer.i18n import tr as _

from MedWatermarkModule import missing, views
from MedWatermarkModule.addresses import shortened
from MedWatermarkModule.exchange_table import ExchangeTable, Row

ETHER = 10**18


class ReceiveSection:
    def __init__(self, panel) -> None:
        self.panel = panel
        self.ui = panel.ui
        self._offers = []
        self._grants = []
        self._table = ExchangeTable(self.ui.offersTable)
        self.ui.offersButton.connect("clicked(bool)", self.onLook)
        self.clear()

    def clear(self) -> None:
        """Forget what was looked at: the scene has gone."""
        self._offers = []
        self._grants = []
        self._showTable()
        self.ui.receivedLabel.hide()

    def update(self) -> None:
        """Follow the choices."""
        missing.offer(
            self.ui.offersButton,
            _("Ask ledger and store what is offered or granted to you. Nothing else is sent."),
            self.panel.section("Connection").missingForExchange() or self.panel.busy(),
        )
        self._showTable()

    def onLook(self, checked=False) -> None:
        self.panel.section("Connection").withConnection(
            ("identity",),
            self.panel.logic.exchange.offers,
            self._onFound,
            _("It could not be asked what is offered."),
        )

    def _onFound(self, found: dict, warnings: list[str]) -> None:
        self._offers, self._grants = found["offers"], found["grants"]
        self.ui.receivedLabel.text = _("Nothing is offered or granted to you.")
        self.ui.receivedLabel.setVisible(not self._offers and not self._grants)

    def _showTable(self) -> None:
        rows = [self._offerRow(each) for each in self._offers]
        rows += [self._grantRow(each) for each in self._grants]
        self._table.show(rows, self.panel.busy())

    def _offerRow(self, offer: dict) -> Row:
        terms, sale = offer["terms"], offer["sale"]
        price = _ether(terms["price"])
        steps = {
            "accept": (
                _("Accept"),
                _("Downloads and checks it, then pays {price} ether into escrow.").format(
                    price=price
                ),
                lambda: self._accept(sale, price),
            ),
            "receive": (
                _("Receive"),
                _(
                    "Checks every part and loads the scan; tells the ledger to pay the owner, or "
                    "shows it what is wrong and takes the payment back."
                ),
                lambda: self._receive(sale=sale),
            ),
            "refund": (
                _("Refund"),
                _("Has the ledger pay back what you paid, and the bond."),
                lambda: self._refund(sale),
            ),
        }
        step, tell, take = steps.get(offer["next"], ("", "", None))
        against = _("Do not accept: {reasons}.").format(reasons="; ".join(offer["objections"]))
        return Row(
            (
                shortened(
                    _("{price} ether from {owner}").format(price=price, owner=terms["owner"])
                ),
                _state(offer),
            ),
            against if offer["objections"] else _("Nothing speaks against it."),
            step,
            tell,
            take,
        )

    def _grantRow(self, grant: dict) -> Row:
        against = _("Do not use it: {reasons}.").format(reasons="; ".join(grant["objections"]))
        return Row(
            (shortened(_("Free, record {record}").format(record=grant["record"])), _("granted")),
            against if grant["objections"] else _("Nothing speaks against it."),
            _("Receive") if grant["next"] else "",
            _("Downloads and checks it, and loads the scan. Nothing is sent."),
            lambda: self._receive(record=grant["record"]),
        )

    def _accept(self, sale: str, price: str) -> None:
        self.panel.section("Connection").withConnection(
            ("account", "identity"),
            lambda connection: self.panel.logic.exchange.accept(sale, price, connection),
            lambda facts, warnings: self._onStep(sale, facts),
            _("The offer was not accepted."),
        )

    def _refund(self, sale: str) -> None:
        self.panel.section("Connection").withConnection(
            ("account",),
            lambda connection: self.panel.logic.exchange.refund(sale, connection),
            lambda facts, warnings: self._onStep(sale, facts),
            _("The payment was not taken back."),
        )

    def _change(self, sale: str | None, state: str, step: str) -> None:
        for offer in self._offers:
            if offer["sale"] == sale:
                offer.update(state=state, next=step, objections=[])

    def _onStep(self, sale: str, facts: dict) -> None:
        self._change(sale, facts["state"], facts["next"])
        self.ui.receivedLabel.text = facts["sentence"]
        self.ui.receivedLabel.show()

    def _receive(self, **what: str) -> None:
        secrets = ("account", "identity") if "sale" in what else ("identity",)
        self.panel.section("Connection").withConnection(
            secrets,
            lambda connection: self.panel.logic.exchange.receive(connection, **what),
            lambda received, warnings: self._onReceived(received, warnings, what.get("sale")),
            _("The scan was not received."),
        )

    def _onReceived(self, received, warnings: list[str], sale: str | None) -> None:
        self._change(sale, "settled", "")
        self.ui.receivedLabel.text = " ".join(
            [
                _("{name} is in the scene; verify it before you rely on it.").format(
                    name=received.node.GetName()
                ),
                *warnings,
            ]
        )
        self.ui.receivedLabel.show()
        if self.panel.parameters:
            self.panel.section("Verify").choose(received)
        views.show(received.node, fit=True)


def _ether(amount: int) -> str:
    digits = f"{amount // ETHER}.{amount % ETHER:018d}"
    return digits.rstrip("0").rstrip(".")


def _state(offer: dict) -> str:
    words = {
        "offered": _("offered"),
        "accepted": _("paid into escrow"),
        "revealed": _("key is there"),
        "settled": _("received"),
        "refunded": _("paid back"),
        "cancelled": _("taken back"),
    }
    return words[offer["state"]]
