"""What the module uses of Slicer, and what a running Slicer said that it has.

``python names.py`` writes the list of what is used into ``README.md`` anew. ``slicer_names.json``
keeps the names that a running Slicer has; ``python names.py SAID`` makes it anew from what was
read off one: for each class its properties, signals, slots and Python names, for each Python
module the names of its functions.
"""

import ast
import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

HOST = Path(__file__).parent
MODULE = HOST.parents[1] / "MedWatermark"
KEPT = HOST / "slicer_names.json"
ROOTS = ("slicer", "qt", "ctk", "DICOMLib")
README = HOST / "README.md"
MARK = "<!-- names.py writes what follows. -->"

# Where Slicer, CTK and Qt say what these names mean, in this order.
DEFINED = {
    "slicer.util.": "`Base/Python/slicer/util.py`",
    "slicer.packaging.": "`Base/Python/slicer/packaging.py`, since Slicer 5.11",
    "slicer.i18n.": "`Base/Python/slicer/i18n.py`",
    "slicer.parameterNodeWrapper.": "`Base/Python/slicer/parameterNodeWrapper/`",
    "slicer.ScriptedLoadableModule.": "`Base/Python/slicer/ScriptedLoadableModule.py`",
    "slicer.app.": "`Base/QTCore/qSlicerCoreApplication.h`, `Base/QTGUI/qSlicerApplication.h`",
    "slicer.modules.": "`Base/QTCore/qSlicerCoreApplication.cxx`, by the names of modules",
    "slicer.mrmlScene.": "`Libs/MRML/Core/vtkMRMLScene.h`",
    "slicer.": "MRML and its logics, `Libs/MRML`, `Modules/Loadable`",
    "qt.": "Qt, wrapped by PythonQt",
    "ctk.": "CTK, wrapped by PythonQt",
    "DICOMLib.DICOMUtils.": "`Modules/Scripted/DICOMLib/DICOMUtils.py`; the self-test alone",
}
NAMESPACES = ("slicer.util", "slicer.app", "slicer.packaging", "ScriptedLoadableModule")


def sources():
    """The Python files that run in Slicer."""
    return [path for path in sorted(MODULE.rglob("*.py")) if path.parent.name != "__pycache__"]


def uses():
    """Dotted names that the module takes from Slicer, Qt and CTK, such as ``slicer.util.getNode``.

    Of ``slicer.mrmlScene`` and of classes one name more: ``slicer.mrmlScene.AddNode``.
    """
    found = set()
    for path in sources():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ROOTS:
                found |= {f"{node.module}.{each.name}" for each in node.names}
            elif isinstance(node, ast.Attribute):
                found.add(_dotted(node))
    found -= {""}
    # "slicer.util" is in "slicer.util.getNode".
    return {name for name in found if not any(other.startswith(name + ".") for other in found)}


def _dotted(node):
    parts = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in ROOTS:
        return ""
    return ".".join([node.id, *parts])


def widgets():
    """Class of each widget of the panel by its name in the ``.ui`` files."""
    classes = {}
    for path in sorted(MODULE.rglob("*.ui")):
        for widget in ElementTree.parse(path).getroot().iter("widget"):
            classes[widget.get("name")] = widget.get("class")
    return classes


def widget_uses():
    """(class, name) of each property, method and signal of a panel's widget that is named."""
    classes = widgets()
    found = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
                name = node.value.attr
                if name in classes:
                    found.add((classes[name], node.attr))
    return found


def classes_of_host():
    """CTK's and qMRML's classes that the host has, and Qt's that its tests look at."""
    own = set()
    for name in ("ctk.py", "mrml_widgets.py"):
        tree = ast.parse((HOST / name).read_text(encoding="utf-8"))
        own |= {each.name for each in ast.walk(tree) if isinstance(each, ast.ClassDef)}
    qt = {"QLabel", "QPushButton", "QPlainTextEdit", "QLineEdit", "QCheckBox", "QInputDialog"}
    return {name for name in own if name.startswith(("ctk", "qMRML"))} | qt


def extract(said):
    """The names of those classes and Python modules that are used here."""
    named = {part for name in uses() for part in name.split(".")}
    wanted = {name for name in said["widgets"] if name in named}
    wanted |= classes_of_host() | set(widgets().values())
    kept = {
        "slicer": said["slicer"],
        "qt": said["qt"],
        **{name: sorted(said[name]) for name in NAMESPACES},
        "ScriptedLoadableModule": {
            name: sorted(methods) for name, methods in said["ScriptedLoadableModule"].items()
        },
        "properties": {},
        "names": {},
    }
    for name in sorted(wanted & set(said["widgets"])):
        told = said["widgets"][name]
        kept["properties"][name] = sorted(told.get("properties", ()))
        calls = {
            each.partition("(")[0] for kind in ("slots", "signals") for each in told.get(kind, ())
        }
        kept["names"][name] = sorted(calls | set(told.get("python", ())))
    return kept


def write(kept, path=KEPT):
    """Write one class a line, so that a difference can be read."""
    path.write_text(_lines(kept) + "\n", encoding="utf-8")


def _lines(value, indent=""):
    if not isinstance(value, dict):
        return json.dumps(value)
    inner = indent + " "
    items = [f"{inner}{json.dumps(key)}: {_lines(each, inner)}" for key, each in value.items()]
    return "{\n" + ",\n".join(items) + f"\n{indent}}}"


def listed():
    """Markdown: each name that is used, beside where it is defined."""
    rows, left = [], sorted(uses())
    for prefix, place in DEFINED.items():
        names = [name for name in left if name.startswith(prefix)]
        left = [name for name in left if name not in names]
        if names:
            rows.append((place, names))
    for kind in sorted({kind for kind, _name in widget_uses()}):
        names = sorted(name for each, name in widget_uses() if each == kind)
        rows.append((f"widget `{kind}` of the panel", names))
    lines = [f"| {place} | {', '.join(f'`{name}`' for name in names)} |" for place, names in rows]
    return "\n".join(["| defined in | used |", "| --- | --- |", *lines])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        write(extract(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
    kept, _mark, _list = README.read_text(encoding="utf-8").partition(MARK)
    README.write_text(f"{kept}{MARK}\n\n{listed()}\n", encoding="utf-8")
