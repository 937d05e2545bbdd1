"""Qt as a Slicer script sees it: PySide6's classes with PythonQt's manners.

Mirrors what PythonQt (commontk/PythonQt, ``src/PythonQtClassInfo.cpp`` and
``PythonQtInstanceWrapper.cpp``) gives to ``import qt`` in Slicer: a Qt property is an
attribute, everything else a call; ``widget.connect("signal(type)", slot)``;
``widget.name`` for the object's name; ``className()``; ``exec_``.
"""

import types
import xml.etree.ElementTree as ElementTree
from functools import cache

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets


class _Property:
    """A Q_PROPERTY as an attribute; setters stay callable beside it, as slots do in PythonQt."""

    def __init__(self, base, name):
        capital = name[0].upper() + name[1:]
        getters = (getattr(base, get, None) for get in (name, f"is{capital}", f"has{capital}"))
        self._base = base
        self._name = name
        self._get = next((get for get in getters if callable(get)), None)
        self._set = getattr(base, f"set{capital}", None)

    def __get__(self, instance, owner):
        if instance is None:  # QTimer.singleShot is a property of timers and a static function
            return getattr(self._base, self._name, self)
        return _call(self._get, instance) if self._get else instance.property(self._name)

    def __set__(self, instance, value):
        if self._set:
            _call(self._set, instance, value)
        elif not instance.setProperty(self._name, value):
            raise AttributeError(f"{type(instance).__name__}.{self._name} is read-only")


def _call(function, instance, *args):
    is_static = isinstance(function, types.BuiltinFunctionType)
    return function(*args) if is_static else function(instance, *args)


class PythonQtObject:
    """What PythonQt adds to every QObject."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        base = next(b for b in cls.__mro__ if b.__module__.startswith("PySide6."))
        meta = base.staticMetaObject
        for name in (meta.property(i).name() for i in range(meta.propertyCount())):
            if not any(name in b.__dict__ for b in cls.__mro__ if issubclass(b, PythonQtObject)):
                setattr(cls, name, _Property(base, name))

    def __getattribute__(self, name):
        # PySide6 answers these two before it looks at subclasses.
        if name in ("connect", "disconnect"):
            return types.MethodType(PythonQtObject.__dict__[name], self)
        return super().__getattribute__(name)

    @property
    def name(self):
        return self.objectName

    @name.setter
    def name(self, value):
        self.objectName = value

    def className(self):
        return self.metaObject().className()

    def connect(self, signal, slot):
        """``signal`` is written with its C++ types, as in ``"clicked(bool)"``."""
        name, _, arguments = signal.rstrip(")").partition("(")
        if not hasattr(self, "_slots"):
            self._slots = {}
        # With "clicked()" the slot gets no argument, though Qt's signal has one.
        self._slots[signal, slot] = slot if arguments else (lambda *ignored: slot())
        getattr(self, name).connect(self._slots[signal, slot])
        return True

    def disconnect(self, signal, slot):
        getattr(self, signal.partition("(")[0]).disconnect(self._slots.pop((signal, slot)))
        return True

    def findChildren(self, kind, *args, **kwargs):
        """Also of the classes below, for Qt knows only the PySide6 class under each."""
        return super().findChildren(_pyside(kind), *args, **kwargs)

    def exec_(self):
        return self.exec()


def _pyside(cls):
    return next(b for b in cls.__mro__ if b.__module__.startswith("PySide6."))


class QUiLoader:
    """Mirrors Qt's QUiLoader in Slicer, which knows the Designer plugins of CTK and MRML widgets.

    Qt connects the ``<connections>`` of a .ui file by C++ signatures, which the host's
    widgets do not have; here they are connected by name.
    """

    def load(self, device):
        root = ElementTree.fromstring(bytes(device.readAll()))
        connections = root.find("connections")
        if connections is not None:
            root.remove(connections)
        flags = _take_flags(root)
        data = QtCore.QBuffer()
        data.setData(ElementTree.tostring(root))
        data.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        self._loader = _Loader()
        top = self._loader.load(data)
        for widget, property_name, value in flags:
            setattr(self._loader.widgets[widget], property_name, value)
        for connection in connections if connections is not None else ():
            sender, signal, receiver, slot = (
                connection.findtext(tag) for tag in ("sender", "signal", "receiver", "slot")
            )
            getattr(self._loader.widgets[sender], signal.partition("(")[0]).connect(
                getattr(self._loader.widgets[receiver], slot.partition("(")[0])
            )
        return top


def _take_flags(root):
    """Take the flag properties of CTK widgets out of the tree: their enumerators are CTK's."""
    import ctk

    taken = []
    for widget in root.iter("widget"):
        if not widget.get("class").startswith("ctk"):
            continue
        for element in widget.findall("property"):
            names = element.findtext("set")
            if names is None:
                continue
            widget.remove(element)
            value = 0
            for name in names.split("|"):
                class_name, _, flag = name.partition("::")
                value |= getattr(ctk, class_name)._enumerators[flag]
            taken.append((widget.get("name"), element.get("name"), value))
    return taken


class _Loader(QtUiTools.QUiLoader):
    def __init__(self):
        super().__init__()
        self.widgets = {}

    def createWidget(self, class_name, parent=None, name=""):
        widget = find_widget_class(class_name)(parent)
        widget.objectName = name
        self.widgets[name] = widget
        return widget


def find_widget_class(class_name):
    """The class of this name among those of MRML, CTK and Qt."""
    import ctk
    import slicer

    for place in (slicer, ctk):
        if hasattr(place, class_name):
            return getattr(place, class_name)
    return __getattr__(class_name)


@cache
def __getattr__(name):
    for module in (QtWidgets, QtGui, QtCore):
        if hasattr(module, name):
            found = getattr(module, name)
            break
    else:
        raise AttributeError(f"Qt has no {name}")
    if isinstance(found, type) and issubclass(found, QtCore.QObject):
        return type(found)(name, (PythonQtObject, found), {"__module__": __name__})
    return found
