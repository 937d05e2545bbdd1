"""Text that stands beside the voxels of NRRD, NIfTI and MetaImage files, and names.

None of it is needed: files are written from voxels and geometry alone. What was there is listed,
by its key, for the report.
"""

from __future__ import annotations

import gzip
import re
import struct
from collections.abc import Mapping
from pathlib import Path

from MedWatermarkLib.descriptor import cleaned_text
from MedWatermarkLib.mention import mentions

# What voxels and geometry are described by; it is written anew.
_NRRD_STRUCTURE = (
    "type, dimension, space, space dimension, space directions, space origin, sizes, endian, "
    "encoding, kinds, centerings, spacings, axismins, axismaxs, block size, line skip, data file, "
    "datafile"
)
_META_STRUCTURE = (
    "ObjectType NDims BinaryData BinaryDataByteOrderMSB ElementByteOrderMSB CompressedData "
    "CompressedDataSize TransformMatrix Offset Origin Position Orientation Rotation "
    "CenterOfRotation AnatomicalOrientation ElementSpacing ElementSize DimSize HeaderSize "
    "ElementNumberOfChannels ElementType ElementDataFile Color ID ParentID"
)
_KNOWN_KEY = re.compile(
    r"[0-9a-f]{4}\|[0-9a-f]{4}|ITK_[A-Za-z]+|comment|content|number|units|space units|thicknesses|"
    r"measurement frame|sample units|old min|old max|labels|min|max|extensions|header of NIfTI-2|"
    r"data_type|db_name|descrip|aux_file|intent_name|Comment|Name|Modality|SequenceID",
    re.IGNORECASE,
)
# Free text of a NIfTI-1 header: name, where it begins, its length.
_NIFTI_TEXT = (
    ("data_type", 4, 10),
    ("db_name", 14, 18),
    ("descrip", 148, 80),
    ("aux_file", 228, 24),
    ("intent_name", 328, 16),
)


class IdentifyingNameError(ValueError):
    """A name of a file or folder that names the patient."""


def header_keys(path: Path) -> list[str]:
    """List what the header of an NRRD, NIfTI or MetaImage file says beside voxels and geometry.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    list of str
        Keys of the formats, of ITK and of DICOM, sorted; all others as ``(other)``, since someone
        could have made a name a key. Never values.
    """
    name = path.name.lower()
    if name.endswith((".nrrd", ".nhdr")):
        keys = _nrrd_keys(path)
    elif name.endswith((".nii", ".nii.gz")):
        keys = _nifti_keys(path)
    else:
        keys = _meta_keys(path)
    return sorted({key if _KNOWN_KEY.fullmatch(key) else "(other)" for key in keys})


def check_name(path: Path, identity: Mapping[str, str]) -> None:
    """Refuse a name for a file or folder that holds a value of an identifying attribute.

    Parameters
    ----------
    path : pathlib.Path
        Its last part is what leaves the house.
    identity : mapping of str to str
        `Volume.identity`.

    Raises
    ------
    IdentifyingNameError
        Names the attribute, and never the value.
    """
    if keyword := _mentioned(path.name, identity):
        raise IdentifyingNameError(
            f"The name of the new file or folder contains the scan's {keyword}; choose another."
        )


def neutral_name(name: str, identity: Mapping[str, str], otherwise: str = "Scan") -> str:
    """Return a name for a node or a file that names nobody.

    Parameters
    ----------
    name : str
        What it is called, such as a node in Slicer: ``3: T1 mprage Miller``.
    identity : mapping of str to str
        `Volume.identity`.
    otherwise : str
        The name, if nothing is left.

    Returns
    -------
    str
        Words of anatomy and technique that were in it.
    """
    cleaned = cleaned_text(name)
    return otherwise if not cleaned or _mentioned(cleaned, identity) else cleaned


def _mentioned(text: str, identity: Mapping[str, str]) -> str | None:
    for keyword, values in identity.items():
        if any(mentions(text, keyword, value) for value in values.split("\\")):
            return keyword
    return None


def _nrrd_keys(path: Path) -> set[str]:
    keys = set()
    for line in _lines_of_header(path)[1:]:
        if line.startswith("#"):
            keys.add("comment")
        elif ":=" in line:
            keys.add(line.split(":=")[0].strip())
        elif ":" in line:
            keys.add(line.split(":")[0].strip())
    return {key for key in keys if key.lower() not in _NRRD_STRUCTURE.split(", ")}


def _meta_keys(path: Path) -> set[str]:
    keys = {line.split("=")[0].strip() for line in _lines_of_header(path) if "=" in line}
    return keys - set(_META_STRUCTURE.split())


def _lines_of_header(path: Path) -> list[str]:
    """Return the lines before the voxels: to an empty one, or MetaImage's last key."""
    lines = []
    with path.open("rb") as file:
        for raw in file:
            line = raw.decode("latin-1").rstrip("\r\n")
            if not line or len(raw) > 1 << 20:
                break
            lines.append(line)
            if line.startswith("ElementDataFile"):
                break
    return lines


def _nifti_keys(path: Path) -> set[str]:
    opening = gzip.open if path.name.lower().endswith(".gz") else open
    with opening(path, "rb") as file:
        header = file.read(352)
    order = "<" if struct.unpack("<i", header[:4])[0] in (348, 540) else ">"
    if struct.unpack(order + "i", header[:4])[0] != 348:
        return {"header of NIfTI-2"}
    offset = int(struct.unpack(order + "f", header[108:112])[0])
    keys = {name for name, start, size in _NIFTI_TEXT if header[start : start + size].strip(b"\0 ")}
    # The first byte after the header says whether there are extensions, which may hold DICOM.
    if header[348:349] not in (b"", b"\0") or offset > 352:
        keys.add("extensions")
    return keys
