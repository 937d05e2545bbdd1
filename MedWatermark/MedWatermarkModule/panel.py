"""The panel: sections in the order of the work, one task at a time, and the scene behind them."""

import os
import sys

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from MedWatermarkModule.connection_section import ConnectionSection
from MedWatermarkModule.logic import MedWatermarkLogic
from MedWatermarkModule.receive_section import ReceiveSection
from MedWatermarkModule.share_section import ShareSection
from MedWatermarkModule.sign_section import SignSection
from MedWatermarkModule.task import CancelledError
from MedWatermarkModule.verify_section import VerifySection

SECTIONS = {
    "Sign": SignSection,
    "Connection": ConnectionSection,
    "Verify": VerifySection,
    "Share": ShareSection,
    "Receive": ReceiveSection,
}
VOLUMES = ("inputVolume", "receivedVolume", "sharedVolume")
SELECTORS = ("inputSelector", "outputSelector", "receivedSelector", "sharedSelector")
# How often a running task is looked at.
POLL_MS = 100


class MedWatermarkWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.parameters = None
        self.sections = {}
        self._guiTag = None
        self._parametersTag = None
        self._observedVolumes = {}
        self._task = None
        self._done = None
        self._failure = ""
        self._hasDependencies = False

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/MedWatermark.ui"))
        self.layout.addWidget(uiWidget)
        for name in SECTIONS:
            section = slicer.util.loadUI(self.resourcePath(f"UI/{name}.ui"))
            button = slicer.util.findChild(uiWidget, f"{name.lower()}CollapsibleButton")
            button.layout().addWidget(section)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        for name in SECTIONS:
            getattr(self.ui, name).setMRMLScene(slicer.mrmlScene)
        for name in SELECTORS:
            self._heedChoice(getattr(self.ui, name))

        self.logic = MedWatermarkLogic()
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self._onTimeout)
        self.ui.cancelButton.connect("clicked(bool)", self.onCancel)
        self.ui.taskWidget.hide()
        for name, section in SECTIONS.items():
            self.sections[name] = section(self)

        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        self._stopTask()
        self.setParameterNode(None)
        for section in self.sections.values():
            section.clear()
        self.removeObservers()

    def enter(self) -> None:
        self.initializeParameterNode()

    def exit(self) -> None:
        self.setParameterNode(None)

    def onReload(self) -> None:
        """Reload the packages with the module: the next import takes them anew."""
        packages = ("MedWatermarkLib", "MedWatermarkModule")
        for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    # The scene

    def onSceneStartClose(self, caller, event) -> None:
        self._stopTask()
        self.setParameterNode(None)
        for section in self.sections.values():
            section.clear()

    def onSceneEndClose(self, caller, event) -> None:
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        self.setParameterNode(self.logic.getParameterNode())
        volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        first = next((v for v in volumes if v.GetClassName() == "vtkMRMLScalarVolumeNode"), None)
        for name in VOLUMES:
            if not getattr(self.parameters, name):
                setattr(self.parameters, name, first)

    def setParameterNode(self, inputParameterNode) -> None:
        """Show and observe this parameter node instead of the one before."""
        if self.parameters:
            self.parameters.disconnectGui(self._guiTag)
            self.parameters.RemoveObserver(self._parametersTag)
        self.parameters = inputParameterNode
        if self.parameters:
            self._guiTag = self.parameters.connectGui(self.ui)
            self._parametersTag = self.parameters.AddObserver(
                vtk.vtkCommand.ModifiedEvent, self.onParametersModified
            )
        self.onParametersModified()

    def onParametersModified(self, caller=None, event=None) -> None:
        """Follow the chosen volumes, which can get their voxels after they were chosen."""
        chosen = []
        if self.parameters:
            chosen = [getattr(self.parameters, name) for name in VOLUMES]
        for node, tag in self._observedVolumes.items():
            node.RemoveObserver(tag)
        # Not by VTKObservationMixin, which keeps what it ever observed, and so its voxels.
        self._observedVolumes = {
            node: node.AddObserver(node.ImageDataModifiedEvent, self.updateSections)
            for node in dict.fromkeys(filter(None, chosen))
        }
        self.updateSections()

    def _heedChoice(self, selector) -> None:
        """Since Slicer 5.12 a selector is silent when another node of the same name is chosen."""
        parameter = selector.property("SlicerParameterName")
        selector.connect(
            "nodeActivated(vtkMRMLNode*)",
            lambda node: self.parameters and setattr(self.parameters, parameter, node),
        )

    def updateSections(self, caller=None, event=None) -> None:
        for section in self.sections.values():
            section.update()

    # Tasks

    def busy(self) -> str:
        """Why nothing else can be started now, or ""."""
        return _("Wait for what is running, or cancel it.") if self._task else ""

    def run(self, start, done, failure: str) -> None:
        """
        Start a task; the panel goes on meanwhile.

        :param start: starts it and returns it.
        :param done: called with its result and its warnings, unless it fails or is cancelled.
        :param failure: what to say above the reason if it fails.
        """
        with slicer.util.tryWithErrorDisplay(failure):
            if not self._hasDependencies:
                self.logic.installDependencies()
                self._hasDependencies = True
            self._task = start()
            self._done, self._failure = done, failure
            self._showProgress()
            self.ui.cancelButton.enabled = True
            self.ui.taskWidget.show()
            self.updateSections()
            self._timer.start()

    def attempt(self, act, failure: str) -> None:
        """Do what takes no time, and show why it failed if it does."""
        with slicer.util.tryWithErrorDisplay(failure):
            act()

    def isRunning(self) -> bool:
        return self._task is not None

    def onCancel(self, checked=False) -> None:
        if self._task:
            self.ui.cancelButton.enabled = False
            self.ui.taskLabel.text = _("Cancelling")
            self._task.cancel()

    def _onTimeout(self) -> None:
        task = self._task
        if not task.poll():
            self._showProgress()
            return
        self._endTask()
        with slicer.util.tryWithErrorDisplay(self._failure):
            try:
                result = task.result()
            except CancelledError:
                slicer.util.showStatusMessage(_("Cancelled; nothing was changed."), 5000)
                return
            self._done(result, task.warnings)
            self.updateSections()

    def _showProgress(self) -> None:
        if self.ui.cancelButton.enabled:
            self.ui.taskLabel.text = self._task.step or _("Starting")
        self.ui.taskProgressBar.value = round(100 * self._task.share)

    def _endTask(self) -> None:
        self._timer.stop()
        self._task = None
        self.ui.taskWidget.hide()
        self.updateSections()

    def _stopTask(self) -> None:
        if self._task:
            self._task.stop()
            self._endTask()

    # For the sections

    def section(self, name: str):
        return self.sections[name]

    def icon(self, name: str):
        return qt.QIcon(self.resourcePath(f"Icons/{name}.png"))

    def askPassword(self, keyFile: str) -> str | None:
        """Ask for the password of the key file; None if the user cancels. It is kept nowhere."""
        dialog = qt.QInputDialog(slicer.util.mainWindow())
        dialog.windowTitle = _("Password")
        dialog.setLabelText(_("Password of {file}:").format(file=os.path.basename(keyFile)))
        dialog.setTextEchoMode(qt.QLineEdit.Password)
        accepted = dialog.exec_()
        password = dialog.textValue()
        dialog.deleteLater()
        return password if accepted else None

    def askFolder(self, title: str) -> str:
        """Ask for a folder; "" if the user cancels."""
        return qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title)
