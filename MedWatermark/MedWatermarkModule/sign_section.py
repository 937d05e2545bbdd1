"""The section *Sign and mark*: from a diagnosis to a marked scan, and what the mark did to it."""

import os

import slicer
from slicer.i18n import tr as _

from MedWatermarkModule import missing, patient, views
from MedWatermarkModule.addresses import shortened
from MedWatermarkModule.exchange_logic import newFolder
from MedWatermarkModule.pictures import pixmapOfPNG

# No voxel changes by more than this many times the RMSE; the library's patterns say so.
GREATEST_BY_RMSE = 7
DEFAULT_CT = 1.5


class SignSection:
    def __init__(self, panel) -> None:
        self.panel = panel
        self.ui = panel.ui
        self._comparison = None
        self._choices = {
            "original": self.ui.showOriginalButton,
            "marked": self.ui.showMarkedButton,
            "difference": self.ui.showDifferenceButton,
        }
        self.ui.embedButton.connect("clicked(bool)", self.onEmbed)
        self.ui.exportButton.connect("clicked(bool)", self.onExport)
        for which, button in self._choices.items():
            button.connect(
                "toggled(bool)", lambda checked, which=which: self._onChoice(which, checked)
            )
        self.clear()

    def clear(self) -> None:
        """Forget the scan that was marked: the scene has gone."""
        if self._comparison:
            self._comparison.close()
        self._comparison = None
        self.ui.markedWidget.hide()
        self.ui.embedLabel.hide()

    def update(self) -> None:
        """Follow the choices."""
        missing.offer(
            self.ui.embedButton,
            _("Sign the diagnosis and put it into the voxels of a copy of the scan."),
            self._lacking(),
        )
        missing.offer(
            self.ui.exportButton,
            _(
                "Write the marked scan as a new DICOM series of its patient and study. It is not "
                "de-identified."
            ),
            self._missingForExport() or self.panel.busy(),
        )
        self.ui.strengthLabel.text = self._strengthInWords()

    def _lacking(self) -> str:
        parameters = self.panel.parameters
        if not parameters:
            return _("Choose a volume.")
        if lacking := missing.volume(parameters.inputVolume):
            return lacking
        if parameters.outputVolume is parameters.inputVolume:
            return _("Choose an output volume other than the volume itself.")
        if not parameters.diagnosis.strip():
            return _("Write the diagnosis that is to be signed.")
        if not os.path.isfile(parameters.keyFile):
            return _("Choose the key file of the one who signs.")
        return (
            missing.newFile(
                parameters.restorationFile,
                _("Choose where the restoration record is to be written."),
                _("The restoration record exists; choose another name to keep it."),
            )
            or self.panel.busy()
        )

    def _missingForExport(self) -> str:
        node = self._comparison.marked if self._comparison else None
        if not node or not slicer.mrmlScene.IsNodePresent(node):
            return _("The marked scan is not in the scene.")
        if not patient.hasInstances(node):
            return _(
                "Slicer's DICOM database does not have the files that the scan came from; export "
                "it in the Data module."
            )
        return ""

    def _strengthInWords(self) -> str:
        parameters = self.panel.parameters
        strength = parameters.strength if parameters else 0.0
        if not strength:
            return _(
                "On a CT {rmse} HU on average, and no voxel by more than {most} HU; else 0.3 of "
                "the noise."
            ).format(rmse=DEFAULT_CT, most=_most(DEFAULT_CT))
        return _(
            "{rmse:g} on average, and no voxel by more than {most}, in units of the scan "
            "(HU on a CT)."
        ).format(rmse=strength, most=_most(strength))

    def onEmbed(self, checked=False) -> None:
        parameters = self.panel.parameters
        password = self.panel.askPassword(parameters.keyFile)
        if password is None:
            return
        self.panel.run(
            lambda: self.panel.logic.embed(
                parameters.inputVolume,
                parameters.diagnosis.strip(),
                parameters.keyFile,
                password,
                parameters.restorationFile,
                parameters.outputVolume,
                parameters.strength or None,
            ),
            self._onMarked,
            _("The scan was not marked."),
        )

    def _onMarked(self, marked, warnings: list[str]) -> None:
        self.ui.keyFilePathLineEdit.addCurrentPathToHistory()
        self.ui.embedLabel.text = " ".join(
            [
                _("The scan was marked: {name}. Keep the restoration record.").format(
                    name=marked.node.GetName()
                ),
                *warnings,
            ]
        )
        self.ui.embedLabel.show()
        self.ui.qualityLabel.text = self._qualityInWords(marked)
        self.ui.qualityLabel.toolTip = marked.facts["claim"]["signer"]
        self.ui.markedQRLabel.setPixmap(pixmapOfPNG(marked.picture))
        self.ui.markedWidget.show()
        if self._comparison:
            self._comparison.close()
        self._comparison = views.Comparison(marked.original, marked.node)
        if self._choices["marked"].checked:
            self._onChoice("marked", True)
        else:
            self._choices["marked"].checked = True
        if parameters := self.panel.parameters:
            # What one does next, verifying or sharing, is done with the marked scan.
            parameters.receivedVolume = marked.node
            parameters.sharedVolume = marked.node
            parameters.recordFile = parameters.restorationFile
            parameters.outputVolume = None

    def onExport(self, checked=False) -> None:
        parent = self.panel.askFolder(_("Folder for a new folder of DICOM files"))
        if parent:
            marked = self._comparison.marked
            self.panel.run(
                lambda: self.panel.logic.exportDICOM(marked, newFolder(parent, "marked")),
                self._onExported,
                _("The scan was not exported."),
            )

    def _onExported(self, facts: dict, warnings: list[str]) -> None:
        text = _("{files} DICOM files were written to {output}. They say whose the scan is.")
        self.ui.embedLabel.text = " ".join([text.format(**facts), *warnings])
        self.ui.embedLabel.show()

    def _qualityInWords(self, marked) -> str:
        facts, signer = marked.facts, marked.facts["claim"]["signer"]
        unit = " HU" if patient.modality(marked.node) == "CT" else ""
        alone = sum(one["message"] for one in facts["slices"])
        return "\n".join(
            [
                _("Signed by {signer}").format(signer=shortened(signer)),
                _(
                    "Change: {rmse:.2f}{unit} on average where marked, at most {most:g}{unit}"
                ).format(rmse=facts["rmse"], most=facts["greatest_change"], unit=unit),
                _("PSNR: {psnr:.1f} dB of a range of {span:g}").format(
                    psnr=facts["psnr"], span=facts["data_range"]
                ),
                _("Slices that give the claim alone: {alone} of {all}").format(
                    alone=alone, all=len(facts["slices"])
                ),
                _("Restoration record: {size:.0f} kB").format(size=facts["record_size"] / 1e3),
            ]
        )

    def _onChoice(self, which: str, checked: bool) -> None:
        if checked and self._comparison:
            self._comparison.show(which)


def _most(strength: float) -> int:
    return round(GREATEST_BY_RMSE * strength + 0.5)
