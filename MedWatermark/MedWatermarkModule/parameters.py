"""The choices of the panel, which are saved with the scene, and what connects them to widgets."""

from typing import Annotated

import ctk
import qt
from slicer import vtkMRMLScalarVolumeNode
from slicer.parameterNodeWrapper import (
    GuiConnector,
    WithinRange,
    parameterNodeGuiConnector,
    parameterNodeWrapper,
)


@parameterNodeWrapper
class MedWatermarkParameterNode:
    """
    The choices of the panel. No password and no key is among them.

    inputVolume - The scan to mark.
    outputVolume - Where the marked scan goes; none for a new volume.
    diagnosis - The text to sign.
    keyFile - The encrypted key of the one who signs.
    strength - Change (RMSE) in units of the scan; 0 for what suits it.
    restorationFile - Where the restoration record is written.
    receivedVolume - The scan to verify or to restore.
    ledgerFile - Where the ledger is.
    leavesFile - Tile leaves that came with the received scan.
    recordFile - Restoration record of the received scan.
    packageFile - A package to verify, whose scan is not in the scene yet.
    markKeyFile - File with the key of the received scan's mark.
    batchPathFile - The place of its record in a batch.
    accountFile - Key file of one's account on the ledger.
    identityFile - Age identity, to which packages are sealed.
    store - Where sealed packages lie.
    exchangesFolder - Where exchanges are kept.
    sharedVolume - The scan to share.
    pixelsChecked - Whether someone looked at every image, and no name is drawn into it.
    asDICOM - Whether a scan whose DICOM files are known leaves as DICOM.
    shiftDates, keepDevice, keepPatientCharacteristics, cleanDescriptors - What of their header is
        kept beyond the basic profile.
    pseudonymKeyFile - File with the secret that pseudonyms are made of.
    recipient - Address of the recipient's account.
    recipientKey - Age public key of the recipient.
    price, bond - In ether.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    outputVolume: vtkMRMLScalarVolumeNode
    diagnosis: str = ""
    keyFile: str = ""
    # Slicer gives the spin box this range; without one, any: then 0 is no longer its least value.
    strength: Annotated[float, WithinRange(0, 1000)] = 0.0
    restorationFile: str = ""
    receivedVolume: vtkMRMLScalarVolumeNode
    ledgerFile: str = ""
    leavesFile: str = ""
    recordFile: str = ""
    packageFile: str = ""
    markKeyFile: str = ""
    batchPathFile: str = ""
    accountFile: str = ""
    identityFile: str = ""
    store: str = ""
    exchangesFolder: str = ""
    sharedVolume: vtkMRMLScalarVolumeNode
    pixelsChecked: bool = False
    asDICOM: bool = True
    shiftDates: bool = False
    keepDevice: bool = False
    keepPatientCharacteristics: bool = False
    cleanDescriptors: bool = False
    pseudonymKeyFile: str = ""
    recipient: str = ""
    recipientKey: str = ""
    price: str = ""
    bond: str = ""


class _TextConnector(GuiConnector):
    """What the two connectors below have in common."""

    widgetType = None
    textProperty = ""

    @classmethod
    def canRepresent(cls, widget, datatype) -> bool:
        return type(widget) is cls.widgetType and datatype is str

    @classmethod
    def create(cls, widget, datatype):
        return cls(widget)

    def __init__(self, widget):
        super().__init__()
        self._widget = widget

    def _connect(self):
        self._editor().textChanged.connect(self.changed)

    def _disconnect(self):
        self._editor().textChanged.disconnect(self.changed)

    def _editor(self):
        """The widget that is written in."""
        return self._widget

    def widget(self):
        return self._widget

    def read(self) -> str:
        return getattr(self._widget, self.textProperty)

    def write(self, value: str) -> None:
        # Writing text moves the cursor to its start, so that typing would run backwards.
        if value != self.read():
            setattr(self._widget, self.textProperty, value)


@parameterNodeGuiConnector
class PlainTextEditToStrConnector(_TextConnector):
    """Slicer has a connector for QTextEdit only, and that one moves the cursor."""

    widgetType = qt.QPlainTextEdit
    textProperty = "plainText"


@parameterNodeGuiConnector
class PathLineEditToStrConnector(_TextConnector):
    """Slicer has a connector to pathlib.Path only, whose empty path shows as "."."""

    widgetType = ctk.ctkPathLineEdit
    textProperty = "currentPath"

    def _editor(self):
        # currentPathChanged is silent when a path is taken out of the field: it is not valid then.
        return self._widget.comboBox().lineEdit()
