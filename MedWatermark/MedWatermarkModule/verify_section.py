"""The section *Verify*: five checks on a scan, where it was altered, and the original again."""

import os
from datetime import UTC, datetime

from slicer.i18n import tr as _

from MedWatermarkModule import missing, views
from MedWatermarkModule.addresses import shortened
from MedWatermarkModule.pictures import pixmapOfPNG

ICONS = {"passed": "CheckPassed", "failed": "CheckFailed", "not checked": "CheckOpen"}
CHECKS = 5


class VerifySection:
    def __init__(self, panel) -> None:
        self.panel = panel
        self.ui = panel.ui
        self._verification = None
        self.ui.verifyButton.connect("clicked(bool)", self.onVerify)
        self.ui.showAlterationsButton.connect("clicked(bool)", self.onShowAlterations)
        self.ui.restoreButton.connect("clicked(bool)", self.onRestore)
        self.clear()

    def clear(self) -> None:
        """Forget what was verified: the scene has gone, or another scan was chosen."""
        self._verification = None
        self.ui.verdictWidget.hide()
        self.ui.restoreLabel.hide()

    def update(self) -> None:
        """Follow the choices."""
        parameters = self.panel.parameters
        node = parameters.receivedVolume if parameters else None
        # Without parameters the panel was left, and may be entered again.
        if parameters and self._verification and node is not self._verification.node:
            self.clear()
        lacking = missing.volume(node)
        package = parameters.packageFile if parameters else ""
        purpose = _("Read the mark and check what speaks for the scan.")
        if package:
            purpose = _("Load the scan of the package, read its mark and check what speaks for it.")
        missing.offer(
            self.ui.verifyButton,
            purpose,
            (missing.optionalFile(package) if package else lacking)
            or self._missingFiles()
            or self.panel.busy(),
        )
        missing.offer(
            self.ui.restoreButton,
            _("Take the mark out of the scan, so that every voxel is as it was."),
            lacking or self._missingRecord() or self.panel.busy(),
        )
        missing.offer(
            self.ui.showAlterationsButton,
            _("Show it in the slice views, beginning with the first altered slice."),
            self._missingMap(),
        )

    def _missingFiles(self) -> str:
        parameters = self.panel.parameters
        files = (
            parameters.ledgerFile,
            parameters.leavesFile,
            parameters.recordFile,
            parameters.markKeyFile,
            parameters.batchPathFile,
        )
        if parameters.batchPathFile and not parameters.ledgerFile:
            return _("Choose the ledger, which has the batch, under Ledger and account.")
        return next(filter(None, map(missing.optionalFile, files)), "")

    def _missingRecord(self) -> str:
        if not os.path.isfile(self.panel.parameters.recordFile):
            return _("Choose the restoration record that was written when the scan was marked.")
        return ""

    def _missingMap(self) -> str:
        if not self._verification:
            return _("Verify the scan first.")
        labels = self._verification.labels
        if labels is None:
            return _("Nothing tells where the scan was altered.")
        return "" if (labels == 1).any() else _("No place was found that was altered.")

    def onVerify(self, checked=False) -> None:
        self.clear()
        if self.panel.parameters.packageFile:
            self._open(self.panel.parameters.packageFile)
        else:
            self._verify([])

    def _open(self, package: str) -> None:
        """Load the scan of a package, and go on with that."""
        folder = self.panel.parameters.exchangesFolder
        self.panel.run(
            lambda: self.panel.logic.openPackage(package, folder if os.path.isdir(folder) else ""),
            self._onOpened,
            _("The package cannot be opened."),
        )

    def _onOpened(self, received, warnings: list[str]) -> None:
        views.show(received.node, fit=True)
        if self.panel.parameters:
            self.choose(received)
            self._verify(warnings)

    def choose(self, received) -> None:
        """Choose a scan that arrived, with what came along, in place of what was chosen before."""
        parameters = self.panel.parameters
        parameters.receivedVolume = received.node
        parameters.leavesFile = received.facts["leaves"]
        parameters.markKeyFile = received.facts["mark_key"] or ""
        parameters.packageFile = parameters.recordFile = parameters.batchPathFile = ""

    def _verify(self, remarks: list[str]) -> None:
        parameters = self.panel.parameters
        self.panel.run(
            lambda: self.panel.logic.verify(
                parameters.receivedVolume,
                parameters.ledgerFile,
                parameters.leavesFile,
                parameters.recordFile,
                parameters.batchPathFile,
                parameters.markKeyFile,
            ),
            lambda verification, warnings: self._onVerified(verification, [*remarks, *warnings]),
            _("The scan could not be verified."),
        )

    def _onVerified(self, verification, warnings: list[str]) -> None:
        self._verification = verification
        facts = verification.facts
        title, _dot, reasons = facts["headline"].partition(". ")
        self.ui.headlineLabel.text = title if title.endswith(".") else f"{title}."
        # Of what failed, the checks say why.
        hasFailed = any(check["outcome"] == "failed" for check in facts["checks"])
        self.ui.reasonsLabel.text = reasons
        self.ui.reasonsLabel.setVisible(bool(reasons) and not hasFailed)
        for number, check in enumerate(facts["checks"], start=1):
            icon = self.panel.icon(ICONS[check["outcome"]])
            getattr(self.ui, f"checkIcon{number}").setPixmap(icon.pixmap(16, 16))
            getattr(self.ui, f"checkIcon{number}").toolTip = check["outcome"]
            label = getattr(self.ui, f"checkLabel{number}")
            sentence = _("{name}: {sentence}").format(**check)
            label.text, label.toolTip = shortened(sentence), sentence
        self._showClaim(facts["claim"])
        remarks = [
            verification.remark,
            *(facts["alterations"] or {}).get("findings", ()),
            *warnings,
        ]
        self.ui.remarkLabel.text = "\n".join(filter(None, remarks))
        self.ui.remarkLabel.setVisible(any(remarks))
        self.ui.readQRLabel.setVisible(verification.picture is not None)
        if verification.picture:
            self.ui.readQRLabel.setPixmap(pixmapOfPNG(verification.picture))
        self.ui.verdictWidget.show()
        views.show(verification.node)

    def _showClaim(self, claim: dict | None) -> None:
        self.ui.claimWidget.setVisible(claim is not None)
        if claim:
            # What a stranger signed is shown as plain text; a label would take it for HTML.
            self.ui.claimDiagnosisTextEdit.setPlainText(claim["diagnosis"])
            self.ui.claimSignerLineEdit.text = claim["signer"]
            self.ui.claimSignerLineEdit.cursorPosition = 0
            time = datetime.fromtimestamp(claim["issued_at"], UTC)
            self.ui.claimTimeLabel.text = time.strftime("%Y-%m-%d %H:%M UTC")

    def onShowAlterations(self, checked=False) -> None:
        self.panel.attempt(
            lambda: self.panel.logic.showAlterations(self._verification),
            _("It could not be shown where the scan was altered."),
        )

    def onRestore(self, checked=False) -> None:
        parameters = self.panel.parameters
        self.panel.run(
            lambda: self.panel.logic.restore(
                parameters.receivedVolume,
                parameters.recordFile,
                markKey=parameters.markKeyFile,
            ),
            self._onRestored,
            _("The scan was not restored."),
        )

    def _onRestored(self, restored, warnings: list[str]) -> None:
        text = _("The scan was restored: {name}. It is the one that the claim is about.")
        if not restored.facts["claim"]:
            text = _("The scan was restored: {name}. No claim was read to check it by.")
        self.ui.restoreLabel.text = text.format(name=restored.node.GetName())
        self.ui.restoreLabel.show()
        views.show(restored.node)
