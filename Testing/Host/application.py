"""A host for Slicer's scripted modules: ``start()``, then ``load_module(path)``.

MRML, its logics and ``slicer.util`` are Slicer's own, from the wheel ``slicer-core``. The rest
stands in the files beside this one, each of which names the part of Slicer that it mirrors;
here are the application, the module manager and what a scripted module's panel lives in.
"""

import ctypes
import importlib.util
import os
import sys
import tempfile
import types
from pathlib import Path

HERE = Path(__file__).parent


def start(main_window=True):
    """Make ``import slicer``, ``qt``, ``ctk`` and ``sitkUtils`` give what they give in Slicer."""
    if "slicer" in sys.modules and hasattr(sys.modules["slicer"], "app"):
        return sys.modules["slicer"].app
    sys.path.insert(0, str(HERE))
    _make_constants_immortal()
    import slicer

    slicer.__path__.append(str(HERE / "slicer"))
    slicer.modules = sys.modules["slicer.modules"] = types.ModuleType("slicer.modules")
    slicer.moduleNames = types.SimpleNamespace()

    slicer.app = _make_application(main_window)
    _put_python_on_path(Path(slicer.app.temporaryPath))
    slicer.mrmlScene = slicer.app.mrmlScene()
    import dicom_database
    import mrml_widgets

    _add_logics(slicer)
    slicer.dicomDatabase = dicom_database.ctkDICOMDatabase()
    slicer.qMRMLWidget = mrml_widgets.qMRMLWidget
    slicer.qMRMLNodeComboBox = mrml_widgets.qMRMLNodeComboBox
    slicer.qSlicerScriptedLoadableModuleWidget = _make_module_widget_class()
    return slicer.app


def _make_constants_immortal():
    """As Python 3.12 does: PySide6 6.12 relies on it, and takes a reference too many of each."""
    if sys.version_info < (3, 12):
        for constant in (None, True, False):
            ctypes.c_ssize_t.from_address(id(constant)).value += 1 << 40


def _make_application(main_window):
    import qt
    import slicer
    from PySide6 import QtCore

    # Settings and history are the host's own and go with it.
    folder = tempfile.TemporaryDirectory()
    qt.QSettings.setDefaultFormat(qt.QSettings.IniFormat)
    qt.QSettings.setPath(qt.QSettings.IniFormat, qt.QSettings.UserScope, folder.name)

    class ModuleManager(qt.QObject):
        """Mirrors ``Base/QTCore/qSlicerModuleManager.cxx``."""

        moduleAboutToBeUnloaded = QtCore.Signal(str)

    class qSlicerApplication(qt.QApplication):
        """Mirrors ``Base/QTGUI/qSlicerApplication.cxx`` and its base classes."""

        startupCompleted = QtCore.Signal()

        def __init__(self):
            super().__init__([])
            self.applicationName = "Slicer"
            self._settings_folder = folder
            self._testing = False
            self._options = types.SimpleNamespace(
                noMainWindow=not main_window, runPythonAndExit=False
            )
            self._module_manager = ModuleManager()
            self._scene = _make_scene(slicer)
            self._logic = slicer.vtkSlicerApplicationLogic()
            self._subject_hierarchy = _SubjectHierarchyPlugins(slicer, self._scene)

        def mrmlScene(self):
            return self._scene

        def applicationLogic(self):
            return self._logic

        def moduleManager(self):
            return self._module_manager

        def layoutManager(self):
            """None, as in Slicer without a main window: the host has no views."""

        def testingEnabled(self):
            return self._testing

        def set_testing(self, enabled):
            """Whether ``--testing`` was given."""
            self._testing = enabled

        def commandOptions(self):
            return self._options

        def settings(self):
            return qt.QSettings()

        @property
        def cachePath(self):
            return _subfolder(folder, "SlicerIO")

        @property
        def temporaryPath(self):
            return _subfolder(folder, "temporary")

        userSettings = settings

    app = qSlicerApplication()
    if main_window:
        app.main_window = qt.QMainWindow()
        app.main_window.objectName = "qSlicerMainWindow"
    return app


def _subfolder(folder, name):
    path = Path(folder.name) / name
    path.mkdir(exist_ok=True)
    return str(path)


def _put_python_on_path(folder):
    """Slicer's launcher puts ``PythonSlicer`` there, which runs Slicer's Python.

    As CTK's AppLauncher (``Base/ctkAppLauncher.cpp``), it waits for what it launched to pass on its
    exit code, and does not pass on signals.
    """
    launcher = folder / "PythonSlicer"
    launcher.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
    launcher.chmod(0o755)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"


def _add_logics(slicer):
    """The logics of loadable modules that ``slicer.util`` calls, and what those set up.

    Mirrors ``Modules/Loadable/Segmentations/qSlicerSegmentationsModule.cxx`` and the base classes
    of modules.
    """
    application = slicer.app.applicationLogic()
    application.SetModuleLogic("Colors", slicer.mrmlScene.color_logic)
    factory = slicer.vtkSegmentationConverterFactory.GetInstance()
    factory.RegisterConverterRule(slicer.vtkBinaryLabelmapToClosedSurfaceConversionRule())
    for name, kind in (
        ("volumes", slicer.vtkSlicerVolumesLogic),
        ("segmentations", slicer.vtkSlicerSegmentationsModuleLogic),
    ):
        logic = kind()
        logic.SetMRMLApplicationLogic(application)
        logic.SetMRMLScene(slicer.mrmlScene)
        setattr(slicer.modules, name, types.SimpleNamespace(logic=lambda logic=logic: logic))


def _make_scene(slicer):
    """Mirrors what ``vtkSlicerApplicationLogic`` puts into the application's scene: its colors."""
    scene = slicer.vtkMRMLScene()
    scene.color_logic = slicer.vtkMRMLColorLogic()
    scene.color_logic.SetMRMLScene(scene)
    return scene


class _SubjectHierarchyPlugins:
    """Gives each displayable node its place in the subject hierarchy.

    Mirrors ``Modules/Loadable/SubjectHierarchy/Widgets/qSlicerSubjectHierarchyPluginLogic.cxx``.
    """

    def __init__(self, slicer, scene):
        import vtk

        self._slicer = slicer

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def on_node_added(caller, event, node):
            if node.IsA("vtkMRMLDisplayableNode") and not node.GetHideFromEditors():
                hierarchy = self._hierarchy(scene)
                hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def on_node_about_to_be_removed(caller, event, node):
            if scene.IsClosing() or node.IsA("vtkMRMLSubjectHierarchyNode"):
                return
            item = self._hierarchy(scene).GetItemByDataNode(node)
            if item:
                self._hierarchy(scene).RemoveItem(item, False, False)

        scene.AddObserver(scene.NodeAddedEvent, on_node_added)
        scene.AddObserver(scene.NodeAboutToBeRemovedEvent, on_node_about_to_be_removed)
        scene.AddObserver(scene.EndCloseEvent, lambda caller, event: self._hierarchy(scene))
        self._hierarchy(scene)

    def _hierarchy(self, scene):
        return self._slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)


def _make_module_widget_class():
    import qt
    import slicer

    class qSlicerScriptedLoadableModuleWidget(slicer.qMRMLWidget):
        """Mirrors ``Base/QTGUI/qSlicerScriptedLoadableModuleWidget.cxx`` and its base class."""

        def __init__(self, module):
            super().__init__()
            self.module = module
            self.isEntered = False
            qt.QVBoxLayout(self)
            self.setMRMLScene(slicer.mrmlScene)
            self._instantiate()
            self.setup()

        def _instantiate(self):
            python_module = sys.modules[self.module.name]
            self._self = getattr(python_module, f"{self.module.name}Widget")(self)
            setattr(slicer.modules, f"{self.module.name}Widget", self._self)

        def self(self):
            return self._self

        def setup(self):
            self._self.setup()

        def enter(self):
            self.isEntered = True
            self._self.enter()

        def exit(self):
            self.isEntered = False
            self._self.exit()

        def reload(self):
            self._instantiate()
            self.setup()

    return qSlicerScriptedLoadableModuleWidget


class ScriptedLoadableModule:
    """Mirrors ``Base/QTGUI/qSlicerScriptedLoadableModule.cxx``: a file that is a module."""

    def __init__(self, path):
        self.path = str(path)
        self.name = Path(path).stem
        self.icon = None
        self._widget = None

    def widgetRepresentation(self):
        import slicer

        if self._widget is None:
            self._widget = slicer.qSlicerScriptedLoadableModuleWidget(self)
        return self._widget


def load_module(path):
    """Load a scripted module as Slicer does at its start; returns what ``slicer.modules`` holds."""
    import slicer

    module = ScriptedLoadableModule(path)
    folder = str(Path(path).parent)
    if folder not in sys.path:  # as Base/QTGUI/qSlicerScriptedLoadableModuleFactory.cxx has it
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location(module.name, path)
    sys.modules[module.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[module.name])
    instance = getattr(sys.modules[module.name], module.name)(module)
    setattr(slicer.modules, module.name.lower(), module)
    setattr(slicer.modules, f"{module.name}Instance", instance)
    setattr(slicer.moduleNames, module.name, module.name)
    return module
