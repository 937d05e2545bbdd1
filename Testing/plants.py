"""Identities planted wherever a scan can hold one, and the search for them in what is written.

Every plant has a number, and says it in a form that its place can hold: a word, a date, a time, a
UID or a number that occurs nowhere else. The table of PS3.15 and pydicom's dictionary say where.
"""

from __future__ import annotations

import base64
import datetime
import gzip
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
from pydicom import DataElement, Dataset
from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataset import FileDataset
from pydicom.tag import Tag

UID_ROOT = "1.3.6.1.4.1.99999."
EPOCH = datetime.date(1911, 1, 1)
TEXT = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT", "UR", "OB", "UN")
# What an image needs to be one; the voxels are looked at apart.
STRUCTURE = {Tag(keyword) for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")}
# Of table E.1-1, but younger than pydicom's dictionary: VRs as PS3.6 has them.
YOUNG = {
    0x00081301: "SQ", 0x00081302: "SQ", 0x00081303: "SQ", 0x00081304: "SQ", 0x00100011: "SQ",
    0x00100012: "LO", 0x00100013: "LT", 0x00100014: "SQ", 0x00100015: "SQ", 0x00100016: "LT",
    0x00100041: "SQ", 0x00100042: "LT", 0x00100043: "SQ", 0x00100044: "SQ", 0x00100045: "LT",
    0x00100046: "SQ", 0x00100047: "UR", 0x00102162: "UC", 0x0040A034: "DT", 0x0040A035: "DT",
    0x0040B034: "DT", 0x0040B036: "DT", 0x0040B03B: "DT", 0x0040B03F: "DT", 0x0040E012: "UR",
}  # fmt: skip


@dataclass
class Plants:
    """What was planted where: number to place, and what to look for."""

    places: dict[int, str] = field(default_factory=dict)

    def value(self, place: str, vr: str) -> object:
        """Return a value for a new plant."""
        if vr == "SQ":
            return [self.item(place)]
        number = len(self.places) + 1
        self.places[number] = place
        day = EPOCH + datetime.timedelta(days=number)
        forms = {
            "DA": f"{day:%Y%m%d}",
            "DT": f"{day:%Y%m%d}{clock(number)}",
            "TM": clock(number),
            "UI": f"{UID_ROOT}{number}",
            "DS": f"31415.{number:05d}",
            "IS": f"27182{number:05d}",
            "AS": f"{number % 90 + 10:03d}Y",
            **dict.fromkeys(("US", "SS"), 20000 + number),
            **dict.fromkeys(("UL", "SL", "UV", "SV"), 1_618_000_000 + number),
            **dict.fromkeys(("FL", "FD"), 1.4142 + number),
        }
        text = word(number)
        if vr in ("OB", "UN"):
            return (text + " ").encode()
        if vr == "UR":
            return f"https://example.org/{text}"
        return forms.get(vr, text)

    def item(self, place: str) -> Dataset:
        """Return an item that holds plants of several kinds, in attributes of common items."""
        item = Dataset()
        for keyword in ("CodeMeaning", "TextValue", "PersonName", "PatientID", "StudyDate"):
            tag = Tag(keyword)
            item[tag] = DataElement(
                tag, dictionary_VR(tag), self.value(f"{place} > {keyword}", dictionary_VR(tag))
            )
        item.CodeValue = "113014"
        item.CodingSchemeDesignator = "DCM"
        return item

    def into(self, dataset: Dataset, tag: int, vr: str, place: str) -> None:
        """Plant one attribute."""
        value = self.value(place, vr)
        dataset.add(DataElement(Tag(tag), vr, value))


def word(number: int) -> str:
    return f"PLANT{number:05d}ZQ"


def clock(number: int) -> str:
    return f"131{number % 10}{number % 60:02d}.{number:06d}"


def table() -> dict[int, str]:
    """Return the attributes of table E.1-1 and their VRs."""
    tags = dicom_anonymization_database_selector("dicomfields_2026c")["ALL_TAGS"]
    found = {}
    for tag in tags:
        number = (tag[0] << 16) + tag[1]
        if len(tag) == 2:
            found[number] = dictionary_VR(number) if dictionary_has_tag(number) else YOUNG[number]
    return found


def unlisted() -> dict[int, str]:
    """Return names, dates, texts, addresses and UIDs of the dictionary that the table lacks."""
    kinds = ("PN", "DA", "DT", "TM", "LT", "ST", "UT", "UR", "AE", "UI")
    return {
        tag: vr
        for tag, (vr, _, _, _, keyword) in DicomDictionary.items()
        if vr in kinds
        and tag not in table()
        and tag >> 16 >= 8
        # These name classes and vocabularies.
        and not keyword.endswith(("SOPClassUID", "TransferSyntaxUID"))
        and keyword not in ("CodingSchemeUID", "ContextUID", "MappingResourceUID")
    }


def plant(instance: FileDataset, plants: Plants, *, nested: bool = True) -> None:
    """Plant identities in every place of an instance but its pixels."""
    attributes = {
        tag: vr
        for tag, vr in {**table(), **unlisted()}.items()
        if tag >> 16 >= 8 and Tag(tag) not in STRUCTURE
    }
    for tag, vr in attributes.items():
        plants.into(instance, tag, vr, name(tag))
    plant_repeating(instance, plants)
    plant_private(instance, plants, "")
    if nested:
        inner = Dataset()
        for tag, vr in {**table(), **unlisted()}.items():
            if tag >> 16 not in (0, 2) and Tag(tag) not in STRUCTURE:
                plants.into(inner, tag, vr, f"nested {name(tag)}")
        plant_private(inner, plants, "nested ")
        outer = Dataset()
        outer.AnatomicRegionModifierSequence = [inner]
        instance.AnatomicRegionSequence = [outer]
    plant_meta(instance, plants)


def plant_repeating(instance: Dataset, plants: Plants) -> None:
    """Plant in curves and overlays, of which a data set may have sixteen."""
    for group in (0x5000, 0x5002, 0x6000, 0x601E):
        kind = 0x50000000 if group < 0x6000 else 0x60000000
        for mask, (vr, _, _, _, keyword) in RepeatersDictionary.items():
            if mask.startswith("50xx" if group < 0x6000 else "60xx") and vr in (*TEXT, "OB or OW"):
                tag = (group << 16) | (int(mask.replace("x", "0"), 16) - kind)
                kept = "OB" if vr == "OB or OW" else vr
                plants.into(instance, tag, kept, f"{group:04X} {keyword}")


def plant_private(dataset: Dataset, plants: Plants, where: str) -> None:
    for group in (0x0009, 0x0019, 0x0029, 0x00E1, 0x7FE1):
        creator = str(plants.value(f"{where}private creator {group:04X}", "LO"))
        block = dataset.private_block(group, creator, create=True)
        for offset, vr in enumerate(("LO", "PN", "DA", "OB", "UN", "SQ", "UI", "UT"), start=1):
            value = plants.value(f"{where}private {group:04X} {vr}", vr)
            block.add_new(offset, vr, value)


def plant_meta(instance: FileDataset, plants: Plants) -> None:
    """Plant in the file meta information and the preamble."""
    meta = instance.file_meta
    for keyword in (
        "MediaStorageSOPInstanceUID",
        "ImplementationClassUID",
        "ImplementationVersionName",
        "SourceApplicationEntityTitle",
        "SendingApplicationEntityTitle",
        "ReceivingApplicationEntityTitle",
        "SourcePresentationAddress",
        "SendingPresentationAddress",
        "ReceivingPresentationAddress",
        "PrivateInformationCreatorUID",
        "PrivateInformation",
    ):
        vr = dictionary_VR(Tag(keyword))
        setattr(meta, keyword, plants.value(f"file meta {keyword}", vr))
    preamble = str(plants.value("preamble", "LO")).encode()
    instance.preamble = preamble.ljust(128, b"\0")


def found_in(data: bytes) -> set[int]:
    """Return the numbers of the plants that stand in some bytes, in any usual encoding."""
    found = set()
    for layer in layers(data):
        lower = layer.lower()
        narrow = lower.replace(b"\0", b"")  # UTF-16 and UTF-32 of either order
        for text in (lower, narrow):
            found |= {int(one) for one in re.findall(rb"plant(\d{5})zq", text)}
            found |= {int(one) for one in re.findall(rb"1\.3\.6\.1\.4\.1\.99999\.(\d+)", text)}
            found |= {int(one) for one in re.findall(rb"(?:31415\.|27182)(\d{5})(?!\d)", text)}
            found |= {
                int(number)
                for time, number in re.findall(rb"(131\d\d\d\.(\d{6}))(?!\d)", text)
                if clock(int(number)).encode() == time
            }
            found |= {numbered(one) for one in re.findall(rb"(?<!\d)(?=(191[1-9]\d{4}))", text)}
        hexadecimal = b"PLANT".hex().encode()
        for one in re.findall(hexadecimal + rb"((?:3\d){5})", lower):
            found.add(int(bytes.fromhex(one.decode())))
        for text in re.findall(rb"[A-Za-z0-9+/]{20,}", layer):
            for start in range(4):
                body = text[start:]
                plain = base64.b64decode(body[: len(body) // 4 * 4])
                found |= {int(one) for one in re.findall(rb"PLANT(\d{5})ZQ", plain)}
    return found - {None}


def numbered(date: bytes) -> int | None:
    """Return which plant has a date."""
    try:
        return (datetime.datetime.strptime(date.decode(), "%Y%m%d").date() - EPOCH).days
    except ValueError:
        return None


def layers(data: bytes) -> list[bytes]:
    """Return the bytes of a file, and what they hold compressed."""
    found = [data]
    starts = [0]
    for mark in (b"\n\n", b"ElementDataFile = LOCAL\n"):  # NRRD, MetaImage
        at = data.find(mark, 0, 1 << 16)
        if at >= 0:
            starts.append(at + len(mark))
    if data[128:132] == b"DICM":  # deflated data sets begin after group 2
        length = int.from_bytes(data[140:144], "little")
        starts.append(144 + length)
    for start in starts:
        for open_layer in (
            lambda body: gzip.decompress(body),
            lambda body: zlib.decompress(body),
            lambda body: zlib.decompressobj(-15).decompress(body),
        ):
            try:
                found.append(open_layer(data[start:]))
                break
            except (OSError, EOFError, zlib.error):
                continue
    return found


def found_below(path: Path) -> set[int]:
    """Return the plants in every byte of a file or folder, and in the names below it."""
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    found = set()
    for file in files:
        found |= found_in(str(file.name).encode())
        if file.is_file():
            found |= found_in(file.read_bytes())
    return found


def name(tag: int) -> str:
    return keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
