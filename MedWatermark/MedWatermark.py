# ruff: noqa: PT009, PT027 (Slicer's self-tests use unittest: pytest is not among its packages)
import importlib.util
import os
import sys
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import ctk
import numpy as np
import pydicom
import qt
import SimpleITK as sitk
import sitkUtils
import slicer
import vtk
from MedWatermarkModule import dependencies
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import (
    GuiConnector,
    parameterNodeGuiConnector,
    parameterNodeWrapper,
)
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

# Installed, the library lies beside the module and is on the path; in a checkout, one folder up.
# It is imported where it is used, so that the module loads before its packages are installed.
if importlib.util.find_spec("MedWatermarkLib") is None:
    sys.path.append(str(Path(__file__).resolve().parent.parent))

CLAIM_ATTRIBUTE = "MedWatermark.Claim"
SIGNER_ATTRIBUTE = "MedWatermark.Signer"


class MedWatermark(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MedWatermark")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Informatics")]
        self.parent.dependencies = []
        self.parent.contributors = ["The MedWatermark developers"]
        self.parent.helpText = _("""
<p>Puts a signed diagnosis into the voxels of a scan, reads it back from a scan or from a part of
it, and takes it out again so that every voxel is as it was.</p>
<p>The mark changes voxels within the patient by a few units. What it changed is written to a
<i>restoration record</i>: keep that file to yourself, for it takes the mark out.</p>
<p>After the method of Chen, Bai and Yao, "A Secure and Privacy-Preserving Watermark Based
Medical Image Sharing Method", Chinese Journal of Electronics 29(5), 2020, 819-825,
<a href="https://doi.org/10.1049/cje.2020.07.003">doi 10.1049/cje.2020.07.003</a>.</p>
""")
        self.parent.acknowledgementText = _("""
Builds on the method of Chen, Bai and Yao, "A Secure and Privacy-Preserving Watermark
Based Medical Image Sharing Method", Chinese Journal of Electronics 29(5), 2020, 819-825,
<a href="https://doi.org/10.1049/cje.2020.07.003">doi 10.1049/cje.2020.07.003</a>.
""")


#
# Parameters
#


@parameterNodeWrapper
class MedWatermarkParameterNode:
    """
    The choices of the panel, saved with the scene. No password and no key is among them.

    inputVolume - The scan to mark, to read or to restore.
    outputVolume - Where the marked or restored scan goes; none for a new volume.
    restorationFile - Where the restoration record is written when marking and read when restoring.
    diagnosis - The text to sign.
    keyFile - The encrypted key of the one who signs.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    outputVolume: vtkMRMLScalarVolumeNode
    restorationFile: str = ""
    diagnosis: str = ""
    keyFile: str = ""


class _TextConnector(GuiConnector):
    """What the two connectors below have in common."""

    widgetType = None
    textProperty = ""
    changeSignal = ""

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
        getattr(self._widget, self.changeSignal).connect(self.changed)

    def _disconnect(self):
        getattr(self._widget, self.changeSignal).disconnect(self.changed)

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
    changeSignal = "textChanged"


@parameterNodeGuiConnector
class PathLineEditToStrConnector(_TextConnector):
    """Slicer has a connector to pathlib.Path only, whose empty path shows as "."."""

    widgetType = ctk.ctkPathLineEdit
    textProperty = "currentPath"
    changeSignal = "currentPathChanged"


#
# Panel
#


class MedWatermarkWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._observedVolume = None

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/MedWatermark.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)

        self.logic = MedWatermarkLogic()

        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.ui.embedButton.connect("clicked(bool)", self.onEmbed)
        self.ui.extractButton.connect("clicked(bool)", self.onExtract)
        self.ui.restoreButton.connect("clicked(bool)", self.onRestore)
        self._showNothing()
        self.initializeParameterNode()

    def cleanup(self) -> None:
        if self._parameterNode:
            self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        self.initializeParameterNode()

    def exit(self) -> None:
        self.setParameterNode(None)

    def onReload(self) -> None:
        """Reload the packages with the module: the next call imports them anew."""
        packages = ("MedWatermarkLib", "MedWatermarkModule")
        for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller, event) -> None:
        self.setParameterNode(None)
        self._showNothing()

    def onSceneEndClose(self, caller, event) -> None:
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
            self._parameterNode.inputVolume = next(
                (v for v in volumes if v.GetClassName() == "vtkMRMLScalarVolumeNode"), None
            )

    def setParameterNode(self, inputParameterNode) -> None:
        """Show and observe this parameter node instead of the one before."""
        modified = vtk.vtkCommand.ModifiedEvent
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, modified, self.onParametersModified)
        self._parameterNode = inputParameterNode
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, modified, self.onParametersModified)
        self.onParametersModified()

    def onParametersModified(self, caller=None, event=None) -> None:
        """Follow the chosen volume, which can get its voxels after it was chosen."""
        volume = self._parameterNode.inputVolume if self._parameterNode else None
        if volume is not self._observedVolume:
            imageModified = slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent
            if self._observedVolume:
                self.removeObserver(self._observedVolume, imageModified, self._updateButtons)
            if volume:
                self.addObserver(volume, imageModified, self._updateButtons)
            self._observedVolume = volume
        self._updateButtons()

    def _updateButtons(self, caller=None, event=None) -> None:
        """Enable each button that can work; the others say in their tooltips what is missing."""
        for button, purpose, missing in (
            (
                self.ui.embedButton,
                _("Sign the diagnosis and put it into the voxels of the scan."),
                self._missingForEmbed(),
            ),
            (
                self.ui.extractButton,
                _("Read the signed diagnosis from the voxels of the scan."),
                self._missingScan(),
            ),
            (
                self.ui.restoreButton,
                _("Take the mark out of the scan, so that every voxel is as it was."),
                self._missingForRestore(),
            ),
        ):
            button.enabled = not missing
            button.toolTip = missing or purpose

    def _missingScan(self) -> str:
        node = self._parameterNode and self._parameterNode.inputVolume
        if not node:
            return _("Choose a volume.")
        if not node.GetImageData():
            return _("The chosen volume has no voxels.")
        return ""

    def _missingOutput(self) -> str:
        if self._parameterNode.outputVolume is self._parameterNode.inputVolume:
            return _("Choose an output volume other than the volume itself.")
        return ""

    def _missingForEmbed(self) -> str:
        if missing := self._missingScan() or self._missingOutput():
            return missing
        parameters = self._parameterNode
        if not parameters.diagnosis.strip():
            return _("Write the diagnosis that is to be signed.")
        if not os.path.isfile(parameters.keyFile):
            return _("Choose the key file of the one who signs.")
        if not parameters.restorationFile:
            return _("Choose where the restoration record is to be written.")
        if os.path.exists(parameters.restorationFile):
            return _("The restoration record exists; choose another name to keep it.")
        if not os.path.isdir(os.path.dirname(os.path.abspath(parameters.restorationFile))):
            return _("The folder of the restoration record does not exist.")
        return ""

    def _missingForRestore(self) -> str:
        if missing := self._missingScan() or self._missingOutput():
            return missing
        if not os.path.isfile(self._parameterNode.restorationFile):
            return _("Choose the restoration record that was written when the scan was marked.")
        return ""

    def onEmbed(self, checked=False) -> None:
        parameters = self._parameterNode
        with slicer.util.tryWithErrorDisplay(_("The scan was not marked.")):
            self.logic.installDependencies()
            password = self._askPassword(parameters.keyFile)
            if password is None:
                return
            with self._progress(_("Marking the scan")) as progress:
                marked = self.logic.embed(
                    parameters.inputVolume,
                    parameters.diagnosis.strip(),
                    self.logic.loadAccount(parameters.keyFile, password),
                    parameters.restorationFile,
                    parameters.outputVolume,
                    progress,
                )
                self.ui.keyFilePathLineEdit.addCurrentPathToHistory()
                self._showNothing()
                self.ui.headlineLabel.text = _(
                    "The scan was marked: {name}. Keep the restoration record."
                ).format(name=marked.GetName())
                # What one does next, reading or restoring, is done with the marked scan.
                parameters.inputVolume = marked
                parameters.outputVolume = None
                slicer.util.setSliceViewerLayers(background=marked)

    def onExtract(self, checked=False) -> None:
        with slicer.util.tryWithErrorDisplay(_("The scan could not be read.")):
            self.logic.installDependencies()
            with self._progress(_("Reading the scan")) as progress:
                self._showReading(self.logic.extract(self._parameterNode.inputVolume, progress))

    def onRestore(self, checked=False) -> None:
        parameters = self._parameterNode
        with slicer.util.tryWithErrorDisplay(_("The scan was not restored.")):
            self.logic.installDependencies()
            with self._progress(_("Restoring the scan")) as progress:
                restored, reading = self.logic.restore(
                    parameters.inputVolume,
                    parameters.restorationFile,
                    parameters.outputVolume,
                    progress,
                )
                self._showReading(reading)
                text = _("The scan was restored: {name}. It is the one that the claim is about.")
                if not reading.claim:
                    text = _("The scan was restored: {name}. No claim was read to check it by.")
                self.ui.headlineLabel.text = text.format(name=restored.GetName())
                parameters.outputVolume = None
                slicer.util.setSliceViewerLayers(background=restored)

    @contextmanager
    def _progress(self, text):
        """Show progress and a button that cancels: give the logic's call what this yields."""
        dialog = slicer.util.createProgressDialog(
            labelText=text, windowTitle="MedWatermark", autoClose=False
        )
        dialog.windowModality = qt.Qt.WindowModal
        dialog.show()

        def report(share: float) -> None:
            dialog.value = round(100 * share)
            slicer.app.processEvents()
            if dialog.wasCanceled:
                raise CancelledError

        try:
            yield report
        except CancelledError:
            self._showNothing()
            self.ui.headlineLabel.text = _("Cancelled; nothing was changed.")
        finally:
            dialog.close()
            dialog.deleteLater()

    def _askPassword(self, keyFile: str) -> str | None:
        """Ask for the password of the key file; None if the user cancels. It is kept nowhere."""
        dialog = qt.QInputDialog(slicer.util.mainWindow())
        dialog.windowTitle = _("Password")
        dialog.setLabelText(_("Password of {file}:").format(file=os.path.basename(keyFile)))
        dialog.setTextEchoMode(qt.QLineEdit.Password)
        accepted = dialog.exec_()
        password = dialog.textValue()
        dialog.deleteLater()
        return password if accepted else None

    def _showNothing(self) -> None:
        self.ui.headlineLabel.text = _("Nothing was read yet.")
        self.ui.readingWidget.hide()

    def _showReading(self, reading) -> None:
        """Show the QR code as it was read, and what it says."""
        modules = reading.extracted.modules
        claim = reading.claim
        self.ui.readingWidget.setVisible(modules is not None or claim is not None)
        self.ui.qrLabel.setVisible(modules is not None)
        if modules is not None:
            self.ui.qrLabel.setPixmap(_pixmapOfQR(modules))
        self.ui.claimWidget.setVisible(claim is not None)
        if claim is None:
            found = reading.extracted.tag is not None
            self.ui.headlineLabel.text = (
                reading.problem if found else _("No public mark was found in this scan.")
            )
            return
        # A mark without a secret key can be copied into another scan (Docs/formats.md).
        self.ui.headlineLabel.text = _(
            "A claim was read. That it belongs to these voxels was not shown."
        )
        # What a stranger signed is shown as plain text; a label would take it for HTML.
        self.ui.claimDiagnosisTextEdit.setPlainText(claim.diagnosis)
        self.ui.claimSignerLineEdit.text = reading.signer
        self.ui.claimSignerLineEdit.cursorPosition = 0
        self.ui.claimTimeLabel.text = datetime.fromtimestamp(claim.issued_at, UTC).strftime(
            "%Y-%m-%d %H:%M UTC"
        )


def _pixmapOfQR(modules):
    """Picture of a QR code from its modules, 0 (light) to 1 (dark); those between are gray."""
    quietZone = 4  # modules, ISO/IEC 18004
    padded = np.pad(np.asarray(modules, float), quietZone)
    image = qt.QImage(len(padded), len(padded), qt.QImage.Format_RGB32)
    for (row, column), dark in np.ndenumerate(padded):
        gray = round(255 * (1 - dark))
        image.setPixelColor(column, row, qt.QColor(gray, gray, gray))
    return qt.QPixmap.fromImage(image).scaledToWidth(3 * len(padded))


#
# Logic
#


class CancelledError(Exception):
    """The user cancelled what was going on."""


class VolumeNodeError(ValueError):
    """A volume node cannot be marked, read or restored."""


class RecordExistsError(FileExistsError):
    """A restoration record would have been overwritten."""


class MedWatermarkLogic(ScriptedLoadableModuleLogic):
    """Marks, reads and restores volume nodes; needs no panel.

    Everything about the mark is MedWatermarkLib's. Here nodes become its volumes and back.
    """

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)

    def getParameterNode(self):
        return MedWatermarkParameterNode(super().getParameterNode())

    def installDependencies(self) -> None:
        """
        Install the Python packages that the library needs and Slicer does not bring, after asking.

        :raises MissingPackagesError: if the user declines.
        """
        dependencies.ensure(self.moduleName)

    def loadAccount(self, keyFile, password: str):
        """
        The account that signs, from its encrypted key file.

        :raises KeyFileError: if the file is not a key file or the password is wrong.
        """
        from MedWatermarkLib.account import load_account

        return load_account(keyFile, password)

    def embed(
        self,
        inputVolume,
        diagnosis: str,
        account,
        restorationPath,
        outputVolume=None,
        progress=None,
    ):
        """
        Sign a diagnosis and put it into the voxels of a scan.

        :param inputVolume: scalar volume node; it is not changed.
        :param diagnosis: the text to sign; one that names the patient is refused.
        :param account: who signs, from :func:`loadAccount`.
        :param restorationPath: new file, for the record that takes the mark out again.
        :param outputVolume: scalar volume node to overwrite, or None for a new one.
        :param progress: called with the share that is done, 0 to 1; what it raises cancels.
        :return: the node of the marked scan; its attributes have the claim and its signer.
        :raises VolumeNodeError: if a node cannot be used.
        :raises RecordExistsError: if there is a file at ``restorationPath``.
        """
        from MedWatermarkLib.scan import mark_scan

        volume = self._volumeFromNode(inputVolume)
        self._checkOutput(outputVolume, inputVolume)
        if os.path.exists(restorationPath):
            raise RecordExistsError(
                _("{file} exists already; a restoration record is never overwritten.").format(
                    file=restorationPath
                )
            )
        marked = mark_scan(volume, diagnosis, account, progress=progress)
        name = _("{name} marked").format(name=inputVolume.GetName())
        with self._outputNode(outputVolume, name) as node:
            self._fillNode(node, marked.volume, inputVolume)
            self._setClaim(node, marked.claim)
            _writeWhole(restorationPath, marked.restoration)
        self._placeNode(node, inputVolume)
        return node

    def extract(self, volume, progress=None):
        """
        Read the claim from the voxels of a scan. The node's attributes then say what was read.

        :param volume: scalar volume node.
        :param progress: called with the share that is done, 0 to 1; what it raises cancels.
        :return: MedWatermarkLib.scan.ScanReading.
        :raises VolumeNodeError: if the node cannot be used.
        """
        from MedWatermarkLib.scan import read_scan

        reading = read_scan(self._volumeFromNode(volume), progress=progress)
        self._setClaim(volume, reading.claim)
        return reading

    def restore(self, volume, restorationPath, outputVolume=None, progress=None):
        """
        Take the mark out of a scan, so that every voxel is as it was.

        If the claim can be read from the scan, the result is checked against its image hash.

        :param volume: node of the marked scan; it is not changed.
        :param restorationPath: the record that was written when the scan was marked.
        :param outputVolume: scalar volume node to overwrite, or None for a new one.
        :param progress: called with the share that is done, 0 to 1; what it raises cancels.
        :return: the node of the restored scan, and the ScanReading of the marked one.
        :raises VolumeNodeError: if a node cannot be used.
        :raises RestorationError: if the record is not of this scan.
        """
        from MedWatermarkLib.scan import read_scan, restore_scan

        marked = self._volumeFromNode(volume)
        self._checkOutput(outputVolume, volume)
        record = Path(restorationPath).read_bytes()
        reading = read_scan(marked, progress=progress)
        restored = restore_scan(marked, record, reading.claim)
        name = _("{name} restored").format(name=volume.GetName())
        with self._outputNode(outputVolume, name) as node:
            self._fillNode(node, restored, volume)
            self._setClaim(node, None)
        self._placeNode(node, volume)
        return node, reading

    # From a node to a Volume

    def _volumeFromNode(self, node):
        from MedWatermarkLib.volume import Volume

        _checkInput(node)
        image = sitkUtils.PullVolumeFromSlicer(node)
        displayNode = node.GetDisplayNode()
        return Volume(
            voxels=sitk.GetArrayFromImage(image),
            spacing=image.GetSpacing(),
            origin=image.GetOrigin(),
            direction=image.GetDirection(),
            modality=self._modality(node),
            window=(displayNode.GetLevel(), displayNode.GetWindow()) if displayNode else None,
            identity=self._identity(node),
        )

    def _modality(self, node) -> str:
        """DICOM Modality of a node, or "": its own, else what its units tell."""
        hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
        constants = slicer.vtkMRMLSubjectHierarchyConstants
        item = hierarchy.GetItemByDataNode(node)
        modality = hierarchy.GetItemAttribute(item, constants.GetDICOMSeriesModalityAttributeName())
        units = node.GetVoxelValueUnits()
        isHounsfield = units is not None and units.GetCodeValue() == "[hnsf'U]"  # UCUM
        return modality or ("CT" if isHounsfield else "")

    def _identity(self, node) -> dict[str, str]:
        """What identifies the patient of a node: DICOM keyword and value."""
        return {**_identityInHierarchy(node), **_identityInDatabase(node)}

    # From a Volume to a node

    def _checkOutput(self, outputVolume, inputVolume) -> None:
        if outputVolume is inputVolume:
            raise VolumeNodeError(_("Choose an output volume other than the volume itself."))
        if outputVolume:
            _checkClass(outputVolume)

    @contextmanager
    def _outputNode(self, outputVolume, name):
        """The node to fill. After an error a new one is gone and a given one is as before."""
        if outputVolume:
            node = outputVolume
            before = vtkMRMLScalarVolumeNode()
            before.Copy(node)
        else:
            node = slicer.mrmlScene.AddNewNodeByClass(
                "vtkMRMLScalarVolumeNode", slicer.mrmlScene.GenerateUniqueName(name)
            )
        try:
            yield node
        except BaseException:
            if outputVolume:
                node.Copy(before)
            else:
                slicer.mrmlScene.RemoveNode(node)
            raise

    def _fillNode(self, node, volume, likeNode) -> None:
        """Give a node the voxels of a volume, and everything else of ``likeNode``."""
        image = sitk.GetImageFromArray(volume.voxels)
        node.CopyContent(likeNode, False)
        node.SetAndObserveImageData(None)  # CopyContent shares the voxels of likeNode
        sitkUtils.PushVolumeToSlicer(image, node)
        # The node's own numbers: through an image they would be products and quotients of them.
        node.CopyOrientation(likeNode)
        node.SetVoxelValueQuantity(likeNode.GetVoxelValueQuantity())
        node.SetVoxelValueUnits(likeNode.GetVoxelValueUnits())
        node.SetAndObserveTransformNodeID(likeNode.GetTransformNodeID())
        # The voxels are no longer those of these instances.
        for attribute in ("DICOM.instanceUIDs", "DICOM.instanceNumbers"):
            node.RemoveAttribute(attribute)

    def _setClaim(self, node, claim) -> None:
        if claim:
            node.SetAttribute(CLAIM_ATTRIBUTE, claim.to_text())
            node.SetAttribute(SIGNER_ATTRIBUTE, claim.signer)
        else:
            node.RemoveAttribute(CLAIM_ATTRIBUTE)
            node.RemoveAttribute(SIGNER_ATTRIBUTE)

    def _placeNode(self, node, likeNode) -> None:
        """Display a node as another one and put it beside that in the subject hierarchy."""
        if likeNode.GetDisplayNode():
            node.CreateDefaultDisplayNodes()
            node.GetDisplayNode().CopyContent(likeNode.GetDisplayNode())
        hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
        hierarchy.SetItemParent(
            hierarchy.GetItemByDataNode(node),
            hierarchy.GetItemParent(hierarchy.GetItemByDataNode(likeNode)),
        )


def _checkInput(node) -> None:
    if node is None:
        raise VolumeNodeError(_("Choose a volume."))
    _checkClass(node)
    if not node.GetImageData() or not node.GetImageData().GetPointData().GetScalars():
        raise VolumeNodeError(_("{name} has no voxels.").format(name=node.GetName()))
    if node.GetImageData().GetNumberOfScalarComponents() != 1:
        raise VolumeNodeError(
            _("{name} has several values in each voxel; only scalar volumes can be marked.").format(
                name=node.GetName()
            )
        )


def _checkClass(node) -> None:
    # Label maps, vector and diffusion volumes are subclasses of the scalar volume.
    if node.GetClassName() != "vtkMRMLScalarVolumeNode":
        raise VolumeNodeError(
            _("{name} is a {kind}; only scalar volumes, that is scans, can be marked.").format(
                name=node.GetName(),
                kind=slicer.mrmlScene.GetTypeDisplayNameByClassName(node.GetClassName()),
            )
        )


def _identityInHierarchy(node) -> dict[str, str]:
    """The patient of the subject hierarchy, as Slicer's DICOM reader enters it."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    constants = slicer.vtkMRMLSubjectHierarchyConstants
    attributes = {
        "PatientName": constants.GetDICOMPatientNameAttributeName(),
        "PatientID": constants.GetDICOMPatientIDAttributeName(),
        "PatientBirthDate": constants.GetDICOMPatientBirthDateAttributeName(),
    }
    identity = {}
    item = hierarchy.GetItemByDataNode(node)
    while item and item != hierarchy.GetSceneItemID():
        for keyword, attribute in attributes.items():
            value = hierarchy.GetItemAttribute(item, attribute)
            # "No name" is what Slicer enters for a patient without one (DICOMPlugin.py).
            if value and value != "No name":
                identity[keyword] = value
        item = hierarchy.GetItemParent(item)
    return identity


def _identityInDatabase(node) -> dict[str, str]:
    """The identity in a DICOM file that the node was read from, if Slicer's database has it."""
    from MedWatermarkLib.identity import identity_of_dicom

    database = getattr(slicer, "dicomDatabase", None)
    uids = (node.GetAttribute("DICOM.instanceUIDs") or "").split()
    path = database.fileForInstance(uids[0]) if database and uids else ""
    if not os.path.isfile(path):
        return {}
    return identity_of_dicom(pydicom.dcmread(path, stop_before_pixels=True))


def _writeWhole(path, content: bytes) -> None:
    """Write a file under a temporary name beside its place, then move it there."""
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


#
# Self-test
#


class MedWatermarkTest(ScriptedLoadableModuleTest):
    """Makes its own scan and downloads nothing. The same code runs under pytest, without Slicer."""

    DIAGNOSIS = "Acute infarct, left MCA territory; no haemorrhage."

    def setUp(self):
        slicer.mrmlScene.Clear()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.record = Path(folder.name) / "head.restoration"
        self.logic = MedWatermarkLogic()

    def runTest(self):
        self.logic = MedWatermarkLogic()
        self.logic.installDependencies()
        for test in (
            self.test_claim_is_read_from_marked_scan,
            self.test_scan_is_restored_bit_for_bit,
            self.test_marked_scan_is_like_the_scan,
            self.test_given_output_volume_is_filled,
            self.test_refusal_leaves_scene_and_disk_alone,
        ):
            self.setUp()
            test()
            self.doCleanups()
        self.delayDisplay("Test passed")

    def test_claim_is_read_from_marked_scan(self):
        self.delayDisplay("A claim goes into a scan and is read from it")
        account = self.account()
        marked = self.logic.embed(self.phantom(), self.DIAGNOSIS, account, self.record)
        reading = self.logic.extract(marked)
        self.assertEqual(reading.claim.diagnosis, self.DIAGNOSIS)
        self.assertEqual(reading.signer, account.address)
        self.assertEqual(marked.GetAttribute(CLAIM_ATTRIBUTE), reading.claim.to_text())
        self.assertEqual(marked.GetAttribute(SIGNER_ATTRIBUTE), account.address)
        self.assertIsNone(self.logic.extract(self.phantom()).claim)

    def test_scan_is_restored_bit_for_bit(self):
        self.delayDisplay("The mark is taken out again")
        for dtype in (np.int16, np.float32):
            scan = self.phantom(dtype)
            original = slicer.util.arrayFromVolume(scan).copy()
            marked = self.logic.embed(scan, self.DIAGNOSIS, self.account(), self.record)
            np.testing.assert_array_equal(slicer.util.arrayFromVolume(scan), original)
            self.assertTrue((slicer.util.arrayFromVolume(marked) != original).any())
            restored, reading = self.logic.restore(marked, self.record)
            voxels = slicer.util.arrayFromVolume(restored)
            self.assertEqual(voxels.dtype, original.dtype)
            self.assertEqual(voxels.tobytes(), original.tobytes())
            self.assertIsNotNone(reading.claim)
            self.assertIsNone(restored.GetAttribute(CLAIM_ATTRIBUTE))
            self.record.unlink()

    def test_marked_scan_is_like_the_scan(self):
        self.delayDisplay("Geometry, display, transform and place in the hierarchy are kept")
        scan = self.phantom()
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        scan.SetAndObserveTransformNodeID(transform.GetID())
        scan.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeRed")
        hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
        study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
        hierarchy.SetItemParent(hierarchy.GetItemByDataNode(scan), study)

        marked = self.logic.embed(scan, self.DIAGNOSIS, self.account(), self.record)
        restored, _reading = self.logic.restore(marked, self.record)
        for node in (marked, restored):
            np.testing.assert_array_equal(self.ijkToRAS(node), self.ijkToRAS(scan))
            self.assertEqual(node.GetTransformNodeID(), transform.GetID())
            self.assertEqual(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)), study)
            display = node.GetDisplayNode()
            self.assertIsNot(display, scan.GetDisplayNode())
            self.assertEqual((display.GetWindow(), display.GetLevel()), (80, 40))
            self.assertEqual(display.GetColorNodeID(), "vtkMRMLColorTableNodeRed")
            self.assertIsNone(node.GetAttribute("DICOM.instanceUIDs"))
            self.assertEqual(node.GetVoxelValueUnits().GetCodeValue(), "[hnsf'U]")

    def test_given_output_volume_is_filled(self):
        self.delayDisplay("A given output volume is filled")
        scan = self.phantom()
        output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Output")
        marked = self.logic.embed(scan, self.DIAGNOSIS, self.account(), self.record, output)
        self.assertIs(marked, output)
        self.assertEqual(output.GetName(), "Output")
        self.assertEqual(self.logic.extract(output).claim.diagnosis, self.DIAGNOSIS)

    def test_refusal_leaves_scene_and_disk_alone(self):
        self.delayDisplay("What cannot be marked is refused, and nothing is left behind")
        scan = self.phantom()
        scanInHierarchy = slicer.mrmlScene.GetSubjectHierarchyNode().GetItemByDataNode(scan)
        self.nameThePatient(scanInHierarchy)
        labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
        vectors = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "Vectors")
        empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
        constant = slicer.util.addVolumeFromArray(np.zeros((3, 64, 64), np.int16), name="Air")
        nodesBefore = slicer.mrmlScene.GetNumberOfNodes()
        for node, diagnosis in (
            (None, self.DIAGNOSIS),
            (labels, self.DIAGNOSIS),
            (vectors, self.DIAGNOSIS),
            (empty, self.DIAGNOSIS),
            (constant, self.DIAGNOSIS),
            (scan, "Mrs. Roentgen has an infarct."),
            (scan, ""),
        ):
            with self.assertRaises(ValueError):
                self.logic.embed(node, diagnosis, self.account(), self.record)
        with self.assertRaises(VolumeNodeError):
            self.logic.embed(scan, self.DIAGNOSIS, self.account(), self.record, scan)
        missingFolder = self.record.parent / "missing" / self.record.name
        with self.assertRaises(FileNotFoundError):
            self.logic.embed(scan, self.DIAGNOSIS, self.account(), missingFolder)
        self.record.write_bytes(b"kept")
        with self.assertRaises(RecordExistsError):
            self.logic.embed(scan, self.DIAGNOSIS, self.account(), self.record)
        with self.assertRaises(ValueError):
            self.logic.restore(scan, self.record)
        self.assertEqual(self.record.read_bytes(), b"kept")
        self.assertEqual(os.listdir(self.record.parent), [self.record.name])
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), nodesBefore)

    def account(self):
        from eth_account import Account

        return Account.create()

    def phantom(self, dtype=np.int16):
        """A head of ellipses in air, noisy, oblique, in HU."""
        z, y, x = np.ogrid[-1:1:5j, -1:1:256j, -1:1:256j]
        radius = np.sqrt((x / 0.8) ** 2 + (y / 0.9) ** 2 + 0.1 * z**2)
        noise = np.random.default_rng(0).normal(0, 8, radius.shape)
        tissue = np.where(radius < 0.85, 35 + 20 * np.sin(6 * x) * np.cos(5 * y), 900)
        voxels = (np.where(radius < 1, tissue, -1000) + noise).astype(dtype)
        node = slicer.util.addVolumeFromArray(voxels, name="Head")
        axes = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]) * (-0.45, -0.45, 3.1)
        ijkToRAS = np.eye(4)
        ijkToRAS[:3] = np.column_stack([axes, (101.3, 87.1, -12.7)])
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ijkToRAS))
        units = slicer.vtkCodedEntry()
        units.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
        node.SetVoxelValueUnits(units)
        node.SetAttribute("DICOM.instanceUIDs", "1.2.3")
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetAutoWindowLevel(False)
        node.GetDisplayNode().SetWindowLevel(80, 40)
        return node

    def ijkToRAS(self, node):
        matrix = vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(matrix)
        return slicer.util.arrayFromVTKMatrix(matrix)

    def nameThePatient(self, item):
        hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
        constants = slicer.vtkMRMLSubjectHierarchyConstants
        patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Roentgen")
        hierarchy.SetItemAttribute(
            patient, constants.GetDICOMPatientNameAttributeName(), "Roentgen^Anna"
        )
        hierarchy.SetItemParent(item, patient)
