"""The MRML widgets that the module uses, over PySide6.

Mirrors Slicer's ``Libs/MRML/Widgets``: each class names its file there.
"""

import qt
import slicer
from PySide6 import QtCore, QtWidgets

CREATE = "create"


class qMRMLWidget(qt.PythonQtObject, QtWidgets.QWidget):
    """Mirrors ``qMRMLWidget.cxx``."""

    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene):
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


class qMRMLNodeComboBox(qt.PythonQtObject, QtWidgets.QWidget):
    """Mirrors ``qMRMLNodeComboBox.cxx``: the scene's nodes of some types, "None", "Create new".

    Not mirrored: node attributes as filters, renaming, deleting, editing, several signals.
    """

    currentNodeChanged = QtCore.Signal(object)
    currentNodeIDChanged = QtCore.Signal(str)
    nodeActivated = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self.setSizePolicy(
            QtWidgets.QSizePolicy.Policy.Preferred, QtWidgets.QSizePolicy.Policy.Fixed
        )
        self._scene = None
        self._values = {
            "addEnabled": True,
            "baseName": "",
            "editEnabled": False,
            "nodeTypes": [],
            "noneDisplay": "None",
            "noneEnabled": False,
            "removeEnabled": True,
            "renameEnabled": False,
            "selectNodeUponCreation": True,
            "showChildNodeTypes": True,
        }
        self._combo = QtWidgets.QComboBox(self)
        self._combo.setSizePolicy(
            QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Expanding
        )
        self._combo.setPlaceholderText("Select a Volume")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._current_id = ""
        self._current_text = ""
        self._combo.currentIndexChanged.connect(self._on_index_changed)
        self._combo.activated.connect(self._on_activated)
        self.setEnabled(False)

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene):
        if scene is self._scene:
            return
        self._scene = scene
        events = slicer.vtkMRMLScene
        for event in (events.NodeAddedEvent, events.NodeRemovedEvent, events.EndCloseEvent):
            scene.AddObserver(event, self._on_scene_event)
        self.setEnabled(True)
        self._fill()

    def nodeCount(self):
        return len(self._nodes())

    def currentNode(self):
        identifier = self._combo.currentData()
        known = self._scene and identifier and identifier != CREATE
        return self._scene.GetNodeByID(identifier) if known else None

    def setCurrentNode(self, node):
        self._select(node.GetID() if node else "")

    def setCurrentNodeID(self, identifier):
        self._select(identifier)

    def addNode(self, nodeType=None):
        node = self._scene.AddNewNodeByClass(nodeType or self.nodeTypes[0], self.baseName)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def _select(self, identifier):
        index = self._combo.findData(identifier) if identifier else -1
        self._combo.setCurrentIndex(0 if index < 0 and self.noneEnabled else index)

    def _nodes(self):
        if not self._scene:
            return []
        nodes = [node for name in self.nodeTypes for node in slicer.util.getNodesByClass(name)]
        return [
            node
            for node in nodes
            if not node.GetHideFromEditors()
            and (self.showChildNodeTypes or node.GetClassName() in self.nodeTypes)
        ]

    def _on_scene_event(self, caller, event):
        if not self._scene.IsClosing():
            self._fill()

    def _fill(self):
        """Build the items anew; as in Qt, the first node is chosen if there was none to choose."""
        was_empty = self._combo.count() == 0
        blocker = QtCore.QSignalBlocker(self._combo)
        self._combo.clear()
        if self.noneEnabled:
            self._combo.addItem(self.noneDisplay, "")
        for node in self._nodes():
            self._combo.addItem(node.GetName(), node.GetID())
        if self.addEnabled and self._scene and self.nodeTypes:
            label = self._scene.GetTypeDisplayNameByClassName(self.nodeTypes[0])
            self._combo.addItem(f"Create new {label}", CREATE)
        index = self._combo.findData(self._current_id) if self._current_id else -1
        if index < 0 and (self.noneEnabled or (was_empty and self._nodes())):
            index = 0
        self._combo.setCurrentIndex(index)
        blocker.unblock()
        self._emit_if_changed()

    def _on_index_changed(self, index):
        if self._combo.itemData(index) == CREATE:
            self.addNode()
        else:
            self._emit_if_changed()

    def _on_activated(self, index):
        """A person chose a node or "None"."""
        if self._combo.itemData(index) != CREATE:
            self.nodeActivated.emit(self.currentNode())

    def _emit_if_changed(self):
        """As in Slicer since 5.12, another node of the same name is no change."""
        node = self.currentNode()
        identifier, text = node.GetID() if node else "", self._combo.currentText()
        is_told = identifier != self._current_id and text != self._current_text
        self._current_id, self._current_text = identifier, text
        if is_told:
            self.currentNodeChanged.emit(node)
            self.currentNodeIDChanged.emit(identifier)


def _add_property(name, kind):
    def set_value(self, value):
        self._values[name] = value
        self._fill()

    setattr(
        qMRMLNodeComboBox, name, QtCore.Property(kind, lambda self: self._values[name], set_value)
    )


for _name in (
    "addEnabled",
    "editEnabled",
    "noneEnabled",
    "removeEnabled",
    "renameEnabled",
    "selectNodeUponCreation",
    "showChildNodeTypes",
):
    _add_property(_name, bool)
for _name in ("baseName", "noneDisplay"):
    _add_property(_name, str)
_add_property("nodeTypes", "QStringList")
