"""Typed parameters in a MRML node, connected to widgets.

Mirrors Slicer's ``Base/Python/slicer/parameterNodeWrapper/``: ``serializers.py`` (str, bool,
int, float, Enum and node), ``validators.py`` (a range), ``guiConnectors.py`` (the connectors of
the widgets below), ``wrapper.py``. Values are kept in the vtkMRMLScriptedModuleNode as Slicer
keeps them, so that they go with a scene. Unlike there, values are read anew each time instead of
cached.
"""

import enum
import typing
from abc import ABC, abstractmethod

import qt
import slicer
import vtk

__all__ = [
    "GuiConnector",
    "WithinRange",
    "isParameterNodeWrapper",
    "parameterNodeGuiConnector",
    "parameterNodeWrapper",
]

_PROPERTY = "SlicerParameterName"


def splitAnnotations(datatype):
    """Mirrors ``util.splitAnnotations``: the type, and the validators beside it."""
    plain, *annotations = typing.get_args(typing.Annotated[datatype, None])
    return plain, [each for each in annotations if isinstance(each, WithinRange)]


class WithinRange:
    """Mirrors ``validators.WithinRange``: both ends belong to the range."""

    def __init__(self, minimum, maximum):
        self.minimum = minimum
        self.maximum = maximum

    def validate(self, value):
        if not self.minimum <= value <= self.maximum:
            raise ValueError(
                f"Value must be within range [{self.minimum}, {self.maximum}], is {value}"
            )


class _Serializer:
    """Mirrors the classes of ``serializers.py``: a parameter's text and node reference."""

    def __init__(self, datatype):
        self.annotated = datatype
        self.type, self.validators = splitAnnotations(datatype)
        self.is_node = issubclass(self.type, slicer.vtkMRMLNode)

    def default(self):
        if self.is_node:
            return None
        return next(iter(self.type)) if issubclass(self.type, enum.Enum) else self.type()

    def write(self, node, name, value):
        if value is None and not self.is_node:
            raise ValueError("Value must not be None")
        accepted = (int, float) if self.type is float else self.type
        if value is not None and not isinstance(value, accepted):
            raise TypeError(f"{name} must be {self.type.__name__}, not {type(value).__name__}")
        for validator in self.validators:
            validator.validate(value)
        if self.is_node:
            node.SetParameter(name, "")
            node.SetNodeReferenceID(name, value.GetID() if value else None)
        else:
            node.SetParameter(name, value.name if isinstance(value, enum.Enum) else str(value))

    def read(self, node, name):
        if self.is_node:
            return node.GetNodeReference(name)
        text = node.GetParameter(name)
        if self.type is bool:
            return text == "True"
        return self.type[text] if issubclass(self.type, enum.Enum) else self.type(text)


class GuiConnector(ABC):
    """Mirrors ``guiConnectors.GuiConnector``: one widget, one value."""

    def __init__(self):
        super().__init__()
        self._callback = None

    def onChanged(self, callback):
        self._callback = callback
        if callback is None:
            self._disconnect()
        else:
            self._connect()

    def changed(self):
        if self._callback:
            self._callback()

    @staticmethod
    @abstractmethod
    def canRepresent(widget, datatype): ...

    @staticmethod
    @abstractmethod
    def create(widget, datatype): ...

    @abstractmethod
    def _connect(self): ...

    @abstractmethod
    def _disconnect(self): ...

    @abstractmethod
    def widget(self): ...

    @abstractmethod
    def read(self): ...

    @abstractmethod
    def write(self, value): ...


_connectors = []


def parameterNodeGuiConnector(classtype=None):
    if classtype is None:
        return parameterNodeGuiConnector
    _connectors.append(classtype)
    return classtype


def _createGuiConnector(widget, datatype):
    for connector in _connectors:
        if connector.canRepresent(widget, datatype):
            return connector.create(widget, datatype)
    raise RuntimeError(f"Unable to create GUI connector from datatype {datatype} to {type(widget)}")


class _WidgetConnector(GuiConnector):
    """The connectors of Slicer that differ only in the names below."""

    widgetType: type
    datatype: type
    signal: str

    def __init__(self, widget):
        super().__init__()
        self._widget = widget

    @classmethod
    def canRepresent(cls, widget, datatype):
        plain, _ranges = splitAnnotations(datatype)
        return type(widget) is cls.widgetType and issubclass(plain, cls.datatype)

    @classmethod
    def create(cls, widget, datatype):
        return cls(widget)

    def _connect(self):
        getattr(self._widget, self.signal).connect(self.changed)

    def _disconnect(self):
        getattr(self._widget, self.signal).disconnect(self.changed)

    def widget(self):
        return self._widget


@parameterNodeGuiConnector
class QCheckBoxToBoolConnector(_WidgetConnector):
    widgetType, datatype, signal = qt.QCheckBox, bool, "stateChanged"

    def read(self):
        return self._widget.checked

    def write(self, value):
        self._widget.checked = value


@parameterNodeGuiConnector
class QSpinBoxToIntConnector(_WidgetConnector):
    widgetType, datatype, signal = qt.QSpinBox, int, "valueChanged"

    def read(self):
        return self._widget.value

    def write(self, value):
        self._widget.value = value


@parameterNodeGuiConnector
class QDoubleSpinBoxToFloatConnector(QSpinBoxToIntConnector):
    widgetType, datatype = qt.QDoubleSpinBox, float

    @classmethod
    def create(cls, widget, datatype):
        # Slicer widens what a .ui file says, where the type names no range.
        _plain, ranges = splitAnnotations(datatype)
        within = ranges[0] if ranges else WithinRange(float("-inf"), float("inf"))
        widget.minimum, widget.maximum = within.minimum, within.maximum
        return cls(widget)


@parameterNodeGuiConnector
class QComboBoxToEnumConnector(_WidgetConnector):
    widgetType, datatype, signal = qt.QComboBox, enum.Enum, "currentIndexChanged"

    @classmethod
    def create(cls, widget, datatype):
        connector = cls(widget)
        connector._choices = list(datatype)
        widget.clear()
        widget.addItems([choice.name for choice in datatype])
        return connector

    def read(self):
        return self._choices[self._widget.currentIndex]

    def write(self, value):
        self._widget.currentIndex = self._choices.index(value)


@parameterNodeGuiConnector
class QLineEditToStrConnector(_WidgetConnector):
    widgetType, datatype, signal = qt.QLineEdit, str, "textChanged"

    def read(self):
        return self._widget.text

    def write(self, value):
        if value != self._widget.text:
            self._widget.text = value


@parameterNodeGuiConnector
class QTextEditPlainTextToStrConnector(_WidgetConnector):
    widgetType, datatype, signal = qt.QTextEdit, str, "textChanged"

    def read(self):
        return self._widget.toPlainText()

    def write(self, value):
        # As in Slicer (August 2026): written even when equal, which moves the cursor.
        self._widget.setPlainText(value)


@parameterNodeGuiConnector
class qMRMLNodeComboBoxToNodeConnector(_WidgetConnector):
    datatype, signal = slicer.vtkMRMLNode, "currentNodeChanged"

    @classmethod
    def canRepresent(cls, widget, datatype):
        return type(widget) is slicer.qMRMLNodeComboBox and issubclass(datatype, cls.datatype)

    @classmethod
    def create(cls, widget, datatype):
        widget.nodeTypes = [datatype.__name__]
        return cls(widget)

    def read(self):
        return self._widget.currentNode()

    def write(self, value):
        self._widget.setCurrentNode(value)


class _Wrapper:
    """What ``wrapper._processClass`` puts into a class."""

    def __init__(self, parameterNode, prefix=None):
        self.parameterNode = parameterNode
        self._connectors = {}
        self._observers = {}
        self._updatingGui = False
        for name, (serializer, default) in self.allParameters.items():
            if not parameterNode.HasParameter(name):
                serializer.write(parameterNode, name, default)

    def connectGui(self, gui):
        mapping = {}
        for widget in vars(gui).values():
            if name := widget.property(_PROPERTY):
                mapping[name] = widget
        return self.connectParametersToGui(mapping)

    def connectParametersToGui(self, mapping):
        connectors = {}
        for name, widget in mapping.items():
            if name not in self.allParameters:
                raise ValueError(f"Cannot find a param with the given name: {name}")
            connectors[name] = _createGuiConnector(widget, self.allParameters[name][0].annotated)
        tag = len(self._observers)
        self._connectors[tag] = connectors
        for name, connector in connectors.items():
            connector.write(getattr(self, name))
            connector.onChanged(lambda n=name, c=connector: self._guiToParameter(n, c))
        self._observers[tag] = self.AddObserver(
            vtk.vtkCommand.ModifiedEvent, lambda caller, event: self._parametersToGui()
        )
        return tag

    def disconnectGui(self, tag):
        for connector in self._connectors.pop(tag, {}).values():
            connector.onChanged(None)
        if tag in self._observers:
            self.RemoveObserver(self._observers[tag])
            self._observers[tag] = None

    def _guiToParameter(self, name, connector):
        with slicer.util.NodeModify(self):
            if not self._updatingGui:
                setattr(self, name, connector.read())

    def _parametersToGui(self):
        if self._updatingGui:
            return
        self._updatingGui = True
        try:
            with slicer.util.NodeModify(self):
                for connectors in list(self._connectors.values()):
                    for name, connector in connectors.items():
                        connector.write(getattr(self, name))
        finally:
            self._updatingGui = False

    def StartModify(self):
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified):
        return self.parameterNode.EndModify(wasModified)

    def AddObserver(self, event, callback, priority=0.0):
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag):
        if tag is not None:
            self.parameterNode.RemoveObserver(tag)

    def Modified(self):
        return self.parameterNode.Modified()


def _makeProperty(name, serializer):
    return property(
        lambda self: serializer.read(self.parameterNode, name),
        lambda self, value: serializer.write(self.parameterNode, name, value),
    )


def parameterNodeWrapper(classtype=None):
    """Class decorator: each annotated member becomes a parameter in the wrapped node."""
    if classtype is None:
        return parameterNodeWrapper
    members = {}
    parameters = {}
    for name, datatype in typing.get_type_hints(classtype, include_extras=True).items():
        serializer = _Serializer(datatype)
        parameters[name] = serializer, getattr(classtype, name, serializer.default())
        members[name] = _makeProperty(name, serializer)
    members["allParameters"] = parameters
    members["_is_parameter_node_wrapper"] = True
    members["__module__"] = classtype.__module__
    members["__doc__"] = classtype.__doc__
    return type(classtype.__name__, (_Wrapper, classtype), members)


def isParameterNodeWrapper(classOrObj):
    return getattr(classOrObj, "_is_parameter_node_wrapper", False)
