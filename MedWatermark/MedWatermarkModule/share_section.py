"""The section *Share*: seal a scan, offer it to one recipient, and follow what becomes of it."""

import os
from dataclasses import fields

from slicer.i18n import tr as _

from MedWatermarkModule import missing, patient
from MedWatermarkModule.deidentification import Deidentification
from MedWatermarkModule.exchange_table import ExchangeTable, Row


class ShareSection:
    def __init__(self, panel) -> None:
        self.panel = panel
        self.ui = panel.ui
        self._exchanges = []
        self._previewed = None
        self._table = ExchangeTable(self.ui.exchangesTable)
        self.ui.previewButton.connect("clicked(bool)", self.onPreview)
        self.ui.shareButton.connect("clicked(bool)", self.onShare)
        self.ui.refreshExchangesButton.connect("clicked(bool)", self.onRefresh)
        self.clear()

    def clear(self) -> None:
        """Forget what was looked at: the scene has gone."""
        self._exchanges = []
        self._previewed = None
        self._lookedAt = ""
        self.ui.previewTextEdit.hide()
        self.ui.sharedLabel.hide()
        self._showTable()

    def update(self) -> None:
        """Follow the choices."""
        parameters = self.panel.parameters
        node = parameters.sharedVolume if parameters else None
        if parameters:
            self._untick(node.GetID() if node else "")
        if parameters and self._previewed and self._previewed != self._subject():
            self._previewed = None
            self.ui.previewTextEdit.hide()
        missing.offer(
            self.ui.previewButton,
            _("De-identify the scan here, and show what would leave with it. Nothing leaves."),
            missing.volume(node) or self._missingKey() or self.panel.busy(),
        )
        missing.offer(
            self.ui.shareButton,
            _("Seal the scan, register it, and offer it."),
            missing.volume(node) or self._missingForSharing() or self.panel.busy(),
        )
        missing.offer(
            self.ui.refreshExchangesButton,
            _("Ask the ledger where your exchanges stand. Nothing is sent but the question."),
            self.panel.section("Connection").missingLedger() or self.panel.busy(),
        )
        self.ui.shareWhatLabel.text = self._whatLeaves()
        self._showTable()

    def _untick(self, volume: str) -> None:
        """Who looked at one scan, whether a name is drawn in, did not look at another."""
        if volume != self._lookedAt:
            self._lookedAt = volume
            self.panel.parameters.pixelsChecked = False

    def _subject(self) -> tuple:
        """What a preview was made of: the scan, and what may leave with it."""
        return self.panel.parameters.sharedVolume, self._deidentification()

    def _deidentification(self) -> Deidentification:
        choices = self.panel.parameters
        return Deidentification(
            **{each.name: getattr(choices, each.name) for each in fields(Deidentification)}
        )

    def _missingKey(self) -> str:
        return missing.optionalFile(self.panel.parameters.pseudonymKeyFile)

    def _missingForSharing(self) -> str:
        parameters = self.panel.parameters
        if not parameters.sharedVolume.GetAttribute("MedWatermark.Claim"):
            return _("The scan carries no claim that is known: mark it or verify it first.")
        if lacking := self.panel.section("Connection").missingForExchange():
            return lacking
        if not self._previewed:
            return _("Read first what would leave with the scan.")
        if not parameters.recipientKey.strip().startswith("age1"):
            return _("Write the recipient's age public key, which begins with age1.")
        if parameters.price.strip() and not parameters.recipient.strip().startswith("0x"):
            return _("Write the address of the recipient's account, which begins with 0x.")
        return ""

    def _whatLeaves(self) -> str:
        parameters = self.panel.parameters
        if not parameters:
            return ""
        price, store = parameters.price.strip(), parameters.store.strip() or _("the store")
        if not price:
            return _(
                "To {store} goes the scan, sealed so that the recipient alone can open it; to the "
                "ledger its commitments, and that it was given. It is free."
            ).format(store=store)
        return _(
            "To {store} goes the scan, sealed so that it can be opened only once the key was "
            "bought; to the ledger its commitments, the recipient's address, the price of {price} "
            "ether, and from your account a bond of {bond} ether."
        ).format(store=store, price=price, bond=parameters.bond.strip() or "0")

    def onPreview(self, checked=False) -> None:
        subject = self._subject()
        self.panel.run(
            lambda: self.panel.logic.exchange.preview(*subject),
            lambda preview, warnings: self._onPreviewed(subject, preview, warnings),
            _("The scan cannot be shared as it is."),
        )

    def _onPreviewed(self, subject, preview, warnings: list[str]) -> None:
        self._previewed = subject
        if preview.isDICOM:
            what = _(
                "It leaves as DICOM: voxels, geometry, what is kept of the header as told below, "
                "and the diagnosis that was signed. De-identified by: {profile}."
            )
        else:
            what = _(
                "It leaves as voxels and geometry without any header (NRRD), and the diagnosis "
                "that was signed. De-identified by: {profile}."
            )
        lines = [
            *warnings,
            what.format(profile=preview.profile),
            self._whyNotDICOM(subject[0], subject[1].asDICOM and not preview.isDICOM),
            *(f"{name}: {outcome}" for name, outcome in preview.attributes),
        ]
        self.ui.previewTextEdit.setPlainText("\n".join(filter(None, lines)))
        self.ui.previewTextEdit.show()

    def _whyNotDICOM(self, volume, wanted: bool) -> str:
        if not wanted:
            return ""
        return patient.differenceFromInstances(volume) or _(
            "Slicer's DICOM database does not have the files that the scan came from."
        )

    def onShare(self, checked=False) -> None:
        parameters = self.panel.parameters
        self.panel.section("Connection").withConnection(
            ("account", "identity"),
            lambda connection: self.panel.logic.exchange.share(
                parameters.sharedVolume,
                connection,
                parameters.recipientKey.strip(),
                parameters.recipient.strip(),
                parameters.price.strip(),
                parameters.bond.strip(),
                self._deidentification(),
            ),
            self._onShared,
            _("The scan was not shared."),
        )

    def _onShared(self, facts: dict, warnings: list[str]) -> None:
        self.ui.sharedLabel.text = " ".join([facts["sentence"], *warnings])
        self.ui.sharedLabel.show()
        self._exchanges = [facts, *self._exchanges]

    def onRefresh(self, checked=False) -> None:
        self.panel.section("Connection").withConnection(
            (),
            self.panel.logic.exchange.exchanges,
            self._onRefreshed,
            _("It could not be asked where the exchanges stand."),
        )

    def _onRefreshed(self, exchanges: list[dict], warnings: list[str]) -> None:
        self._exchanges = [each for each in exchanges if each["side"] == "owner"]

    def _showTable(self) -> None:
        self._table.show([self._row(each) for each in self._exchanges], self.panel.busy())

    def _row(self, facts: dict) -> Row:
        steps = {
            "reveal": (
                _("Reveal key"),
                _("Sends the key of this sale to the ledger. It cannot be taken back."),
            ),
            "settle": (_("Collect"), _("Has the ledger pay price and bond to your account.")),
            "cancel": (_("Cancel"), _("Takes the offer back on the ledger, and the bond.")),
        }
        # An offer that nobody accepted yet can be taken back at any time.
        command = facts["next"] or ("cancel" if facts["state"] == "offered" else "")
        step, tell = steps.get(command, ("", ""))
        return Row(
            (os.path.basename(facts["folder"]), _state(facts)),
            facts["sentence"],
            step,
            tell,
            lambda: self._take(command, facts["folder"]),
        )

    def _take(self, command: str, folder: str) -> None:
        secrets = ("account", "identity") if command == "reveal" else ("account",)
        self.panel.section("Connection").withConnection(
            secrets,
            lambda connection: self.panel.logic.exchange.takeStep(command, folder, connection),
            self._onStep,
            _("The step was not taken."),
        )

    def _onStep(self, facts: dict, warnings: list[str]) -> None:
        self._exchanges = [
            facts if each["folder"] == facts["folder"] else each for each in self._exchanges
        ]


def _state(facts: dict) -> str:
    words = {
        "none": _("registered"),
        "offered": _("offered"),
        "accepted": _("accepted"),
        "revealed": _("revealed"),
        "settled": _("paid"),
        "refunded": _("paid back"),
        "cancelled": _("cancelled"),
    }
    return words[facts["state"]]
