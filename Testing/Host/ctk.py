"""The CTK widgets that the module uses, over PySide6.

Mirrors commontk/CTK ``Libs/Widgets``: each class names its file there.
"""

from typing import ClassVar

import qt
from PySide6 import QtCore, QtGui, QtWidgets


class ctkCollapsibleButton(qt.PythonQtObject, QtWidgets.QAbstractButton):
    """Mirrors ``ctkCollapsibleButton.cpp``: a heading that hides what it contains."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, parent=None):
        super().__init__(parent)
        self.checkable = True
        self.checked = True
        self.setSizePolicy(
            QtWidgets.QSizePolicy.Policy.Minimum, QtWidgets.QSizePolicy.Policy.Preferred
        )
        self.setContentsMargins(0, self._heading_height(), 0, 0)
        self.toggled.connect(self._on_toggled)

    def _get_collapsed(self):
        return not self.checked

    def _set_collapsed(self, collapsed):
        self.checked = not collapsed

    collapsed = QtCore.Property(bool, _get_collapsed, _set_collapsed)

    def _on_toggled(self, expanded):
        if not expanded:
            widgets = self.findChildren(
                QtWidgets.QWidget, options=QtCore.Qt.FindChildOption.FindDirectChildrenOnly
            )
            self._shown = [widget for widget in widgets if not widget.isHidden()]
        for widget in self._shown:
            widget.setVisible(expanded)
        self.setMaximumHeight(16777215 if expanded else self._heading_height())
        self.contentsCollapsed.emit(not expanded)

    def _heading_height(self):
        return QtGui.QFontMetrics(self.font).height() + 8

    def sizeHint(self):
        return self._size(self.layout().totalSizeHint())

    def minimumSizeHint(self):
        return self._size(self.layout().totalMinimumSize())

    def _size(self, contents):
        """The heading is part of the contents' margins."""
        return contents if self.checked else QtCore.QSize(contents.width(), self._heading_height())

    def hitButton(self, position):
        return position.y() < self._heading_height()

    def paintEvent(self, event):
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, self.width, self._heading_height())
        painter.drawControl(QtWidgets.QStyle.ControlElement.CE_PushButtonBevel, option)
        arrow = QtWidgets.QStyleOption(option)
        arrow.rect = QtCore.QRect(6, 0, 12, option.rect.height())
        element = QtWidgets.QStyle.PrimitiveElement
        painter.drawPrimitive(
            element.PE_IndicatorArrowDown if self.checked else element.PE_IndicatorArrowRight,
            arrow,
        )
        left = QtCore.Qt.AlignmentFlag.AlignLeft | QtCore.Qt.AlignmentFlag.AlignVCenter
        painter.drawItemText(
            option.rect.adjusted(24, 0, 0, 0),
            left,
            self.palette,
            True,
            self.text,
        )


class _ArrowStyle(QtWidgets.QProxyStyle):
    """An arrow in place of the check box of a group."""

    def drawPrimitive(self, element, option, painter, widget=None):
        arrows = QtWidgets.QStyle.PrimitiveElement
        if element == arrows.PE_IndicatorCheckBox and isinstance(widget, ctkCollapsibleGroupBox):
            expanded = widget.checked
            element = arrows.PE_IndicatorArrowDown if expanded else arrows.PE_IndicatorArrowRight
        super().drawPrimitive(element, option, painter, widget)


class ctkCollapsibleGroupBox(qt.PythonQtObject, QtWidgets.QGroupBox):
    """Mirrors ``ctkCollapsibleGroupBox.cpp``: a group whose title hides what it contains."""

    collapsedHeight = 14

    def __init__(self, parent=None):
        super().__init__(parent)
        self.checkable = True
        self.checked = True
        self._style = _ArrowStyle(QtWidgets.QApplication.style().name())
        self.setStyle(self._style)
        self.toggled.connect(self.expand)

    def _get_collapsed(self):
        return not self.checked

    def _set_collapsed(self, collapsed):
        self.checked = not collapsed

    collapsed = QtCore.Property(bool, _get_collapsed, _set_collapsed)

    def expand(self, expanded):
        self._show_children()
        title = QtGui.QFontMetrics(self.font).height()
        self.setMaximumHeight(16777215 if expanded else title + self.collapsedHeight)

    def _show_children(self):
        widgets = self.findChildren(
            QtWidgets.QWidget, options=QtCore.Qt.FindChildOption.FindDirectChildrenOnly
        )
        for widget in widgets:
            widget.setVisible(self.checked)

    def showEvent(self, event):
        # A .ui file says that it is collapsed before it has its children.
        self._show_children()
        super().showEvent(event)


class ctkPathLineEdit(qt.PythonQtObject, QtWidgets.QWidget):
    """Mirrors ``ctkPathLineEdit.cpp``: a path to type, to choose from history or to browse for."""

    # What a .ui file may say of filters and options.
    _enumerators: ClassVar = {
        "Dirs": 0x001,
        "Files": 0x002,
        "Drives": 0x004,
        "Readable": 0x010,
        "Writable": 0x020,
        "Executable": 0x040,
        "DontConfirmOverwrite": 0x4,
    }

    currentPathChanged = QtCore.Signal(str)
    validInputChanged = QtCore.Signal(bool)

    def __init__(self, parent=None):
        super().__init__(parent)
        self.filters = 0x1057
        self.options = 0
        self._combo = QtWidgets.QComboBox(self)
        self._combo.setEditable(True)
        self._combo.setInsertPolicy(QtWidgets.QComboBox.InsertPolicy.NoInsert)
        self._combo.setSizePolicy(
            QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed
        )
        button = QtWidgets.QToolButton(self)
        button.setText("...")
        button.clicked.connect(self.browse)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._combo)
        layout.addWidget(button)
        self.setFocusProxy(self._combo.lineEdit())
        self._is_valid = False
        self._combo.lineEdit().textChanged.connect(self._update_has_valid_input)

    def _update_has_valid_input(self, path):
        """As in CTK: a path that is no longer valid, such as an empty one, is not told of."""
        endings = [each.removeprefix("*") for each in self.property("nameFilters") or ("",)]
        was_valid, self._is_valid = self._is_valid, path != "" and path.endswith(tuple(endings))
        if self._is_valid:
            self.currentPathChanged.emit(path)
        if self._is_valid != was_valid:
            self.validInputChanged.emit(self._is_valid)

    def _get_path(self):
        return self._combo.lineEdit().text()

    def setCurrentPath(self, path):
        self._combo.lineEdit().setText(path)

    currentPath = QtCore.Property(str, _get_path, setCurrentPath)
    settingKey = QtCore.Property(
        str, lambda self: self._key, lambda self, key: setattr(self, "_key", key)
    )

    def comboBox(self):
        return self._combo

    def browse(self):
        dialog = QtWidgets.QFileDialog
        if not self.filters & self._enumerators["Files"]:
            path = dialog.getExistingDirectory(self, "Select a directory...", self.currentPath)
        elif self.filters & self._enumerators["Writable"]:
            path, _ = dialog.getSaveFileName(self, "Select a file to save ", self.currentPath)
        else:
            path, _ = dialog.getOpenFileName(self, "Open a file", self.currentPath)
        if path:
            self.setCurrentPath(path)

    def addCurrentPathToHistory(self):
        path = self.currentPath
        if path:
            if (known := self._combo.findText(path)) >= 0:
                self._combo.removeItem(known)
            self._combo.insertItem(0, path)
            self._combo.setCurrentIndex(0)


class ctkMessageBox(qt.PythonQtObject, QtWidgets.QMessageBox):
    """Mirrors ``ctkMessageBox.cpp``, without "Don't show again"."""

    def exec(self):
        # In PythonQt enumerators are numbers, so what exec returns equals the button.
        return QtWidgets.QMessageBox.StandardButton(super().exec())
