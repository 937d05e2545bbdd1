"""What the catalog of extensions shows: the entry of the index, and the icon."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import pytest
from icon import PICTURES, SIZE, SOURCE, draw

REPOSITORY = Path(__file__).parents[2]
ENTRY = REPOSITORY / "MedWatermark.json"

# Says what Slicer's Schemas/slicer-extension-catalog-entry-schema-v1.0.1.json says.
TEXT = {"type": "string"}
SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema",
    "type": "object",
    "required": ["$schema", "category", "scm_url"],
    "additionalProperties": False,
    "properties": {
        "$schema": TEXT,
        "category": TEXT,
        "scm_url": TEXT,
        "scm_revision": TEXT,
        "scm_type": {"enum": ["git", "local"]},
        "build_dependencies": {"type": "array", "items": TEXT},
        "build_subdirectory": TEXT,
        "enabled": {"type": "boolean"},
        "tier": {"type": "integer", "minimum": 1, "maximum": 5},
    },
}


def set_in_cmake(name):
    text = (REPOSITORY / "CMakeLists.txt").read_text()
    return re.search(rf'set\(EXTENSION_{name} "([^"]*)"\)', text)[1]


def test_the_entry_keeps_to_the_schema_that_it_names():
    entry = json.loads(ENTRY.read_text())
    jsonschema.validate(entry, SCHEMA)
    assert "slicer-extension-catalog-entry-schema-v1.0.1.json" in entry["$schema"]
    for wrong in ({**entry, "tier": 6}, {**entry, "depends": "NA"}, {"category": "Informatics"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, SCHEMA)


def test_the_entry_passes_what_the_index_checks_without_a_network():
    # scripts/check_description_files.py of the index.
    entry = json.loads(ENTRY.read_text())
    assert b"\r" not in ENTRY.read_bytes()
    address = urlsplit(entry["scm_url"])
    assert address.scheme in ("git", "https")
    assert Path(address.path).stem.startswith("Slicer")
    assert not ENTRY.stem.lower().startswith("slicer")
    project = re.search(r"project\s*\(\s*([^\s)]+)", (REPOSITORY / "CMakeLists.txt").read_text())
    assert project[1] == ENTRY.stem
    assert (REPOSITORY / "LICENSE.txt").is_file()


def test_the_entry_says_what_cmakelists_says():
    entry = json.loads(ENTRY.read_text())
    assert entry["category"] == set_in_cmake("CATEGORY")
    depends = re.search(r'EXTENSION_DEPENDS "([^"]*)"', (REPOSITORY / "CMakeLists.txt").read_text())
    assert entry["build_dependencies"] == [name for name in depends[1].split() if name != "NA"]


def test_the_pictures_of_the_icon_are_drawn_from_its_source(host):
    from PySide6.QtGui import QImage

    drawn = draw()
    for path in PICTURES:
        picture = QImage(str(path)).convertToFormat(drawn.format())
        assert (picture.width(), picture.height()) == (SIZE, SIZE)
        points = [(x, y) for x in range(SIZE) for y in range(SIZE)]
        # Versions of Qt smooth edges a little differently.
        far = sum(
            abs(picture.pixelColor(*point).lightness() - drawn.pixelColor(*point).lightness()) > 40
            for point in points
        )
        assert far < len(points) / 50, path


def test_the_modules_icon_is_the_vector_drawing(module):
    assert SOURCE.is_file()
    assert not module.icon.isNull()
    assert module.icon.pixmap(256, 256).width() == 256
