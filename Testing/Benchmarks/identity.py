"""Whether any identity gets through the de-identification, and how another de-identifier differs.

Run from the root of the project:

    python Testing/Benchmarks/identity.py [plants | comparison [PYTHON]]

`plants`: identities planted in every place that can hold one, searched in every byte of what is
written, decompressed too, in names and in the mark's text. `comparison`: attribute by attribute
against idiscore 1.2.0, which is installed for it into an environment of its own (pip needs an
index), since it wants pydicom 2, or is that of the interpreter PYTHON. Without an argument: both.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import subprocess
import sys
import tempfile
import time
import venv
import warnings
from collections import defaultdict
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK
from eth_account import Account
from pydicom import DataElement, Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from MedWatermarkLib.claim import IdentifyingDiagnosisError
from MedWatermarkLib.confidentiality import Action, Options, _profile, action_for
from MedWatermarkLib.deidentified import Request, deidentify
from MedWatermarkLib.deidentify import Deidentifier
from MedWatermarkLib.dicom_series import discreet_pydicom
from MedWatermarkLib.imageio import read_volume
from MedWatermarkLib.marking import Marking, mark_file
from MedWatermarkLib.pseudonym import Pseudonyms
from MedWatermarkLib.report import JsonReport
from MedWatermarkLib.volume import Volume, image_hash
from MedWatermarkLib.watermark import extract

sys.path.append(str(Path(__file__).parents[1]))
from plants import Plants, found_below, found_in, name, plant, table, word
from scans import DIAGNOSIS

OPTIONS = {
    "basic profile": Options(),
    "modified dates": Options(shift_dates=True),
    "device identity": Options(keep_device=True),
    "patient characteristics": Options(keep_patient_characteristics=True),
    "clean descriptors": Options(clean_descriptors=True),
    "all four options": Options(True, True, True, True),
}


def key_for(patient: str) -> bytes:
    """Return a key with which dates move by more days than there are plants.

    So none comes to lie on the date of another.
    """
    for number in itertools.count():
        key = f"a key of the benchmark, {number}".encode()
        moved = Pseudonyms(key).date("20200101", "", patient)
        if moved < "20120101":
            return key
    raise AssertionError


SUFFIXES = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd")
SYNTAXES = {"implicit": ImplicitVRLittleEndian, "deflated": DeflatedExplicitVRLittleEndian}


def planted_series(folder: Path, syntax: str | None = None) -> Plants:
    """Write a CT of three slices with plants in all of them."""
    plants = Plants()
    folder.mkdir()
    packaged = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
    for index in range(3):
        instance = pydicom.dcmread(packaged)
        position = [float(value) for value in instance.ImagePositionPatient]
        places = plants if index == 0 else Plants()
        plant(instance, places)
        instance.ImagePositionPatient = [*position[:2], position[2] + 5 * index]
        instance.InstanceNumber = index + 1
        if syntax:
            instance.file_meta.TransferSyntaxUID = SYNTAXES[syntax]
        instance.SOPInstanceUID = f"1.3.6.1.4.1.99999.{90000 + index}"
        implicit = syntax == "implicit"
        instance.save_as(
            folder / f"{word(index + 1)}.dcm", implicit_vr=implicit, little_endian=True
        )
    for number in range(3):
        plants.places[90000 + number] = "SOP Instance UID of a slice"
    plants.places[99999] = "names of files"
    return plants


def plants() -> None:
    with tempfile.TemporaryDirectory() as place, discreet_pydicom():
        root = Path(place)
        for syntax in (None, *SYNTAXES):
            planted = planted_series(root / f"{word(99999)}_{syntax}", syntax)
            source = root / f"{word(99999)}_{syntax}"
            before = found_below(source)
            hashed = image_hash(quietly(source)).digest
            for title, options in OPTIONS.items():
                output = root / f"out_{syntax}_{list(OPTIONS).index(title)}"
                request = Request(options, key_for(patient_of(source)))
                started = time.perf_counter()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    result = deidentify(source, output, request, None, lambda share: None)
                unseen = {one for one in planted.places if one not in before}
                left = found_below(output)
                kept = {one for one in left if not by_option(planted, one, options)}
                kept |= {
                    one
                    for one in unseen
                    if by_value(planted.places[one], source, output)
                    and not by_option(planted, one, options)
                }
                same = image_hash(quietly(output)).digest == hashed
                print(
                    f"DICOM {syntax or 'explicit'}, {title}: {len(planted.places)} planted "
                    f"({len(before)} seen in the source's bytes), {len(kept)} found beside "
                    f"{len(left - kept)} that the option keeps, "
                    f"{sum(one.count for one in result.outcomes)} attributes told of, image hash "
                    f"{'same' if same else 'OTHER'}, {time.perf_counter() - started:.1f} s"
                )
                for one in sorted(kept)[:20]:
                    print("   found:", planted.places.get(one, one))
        print_beside_dicom(root)
        print_mark(root, root / f"{word(99999)}_None")


def patient_of(folder: Path) -> str:
    return str(pydicom.dcmread(next(folder.iterdir())).PatientID)


def by_value(place: str, source: Path, output: Path) -> bool:
    """Tell whether an attribute whose planted value is no text of its own is still the same."""
    values = []
    for folder in (source, output):
        holder = pydicom.dcmread(min(folder.iterdir()))
        if place.startswith("nested "):
            holder = holder.AnatomicRegionSequence[0].AnatomicRegionModifierSequence[0]
        values.append(holder.get(place.removeprefix("nested ")))
    return values[1] is not None and values[0] == values[1]


def by_option(planted: Plants, number: int, options: Options) -> bool:
    """Tell whether an option asks to keep a plant unchanged (K in table E.1-1)."""
    place = planted.places.get(number, "").removeprefix("nested ").split(" > ")[-1]
    if not place.isidentifier() or pydicom.datadict.tag_for_keyword(place) is None:
        return False
    tag = Tag(place)
    action = action_for(tag, pydicom.datadict.dictionary_VR(tag), options, conditional=True)
    return action is Action.KEEP and action is not action_for(
        tag, pydicom.datadict.dictionary_VR(tag), Options(), conditional=True
    )


def print_beside_dicom(root: Path) -> None:
    """Plant in what NRRD, NIfTI and MetaImage headers, and gzip's, can say."""
    image = SimpleITK.GetImageFromArray(
        np.random.default_rng(0).integers(-500, 900, (4, 40, 40)).astype(np.int16)
    )
    planted = Plants()
    for key in ("0010|0010", "0010|0020", "DICOM.PatientName", "ITK_FileNotes", "note", "content"):
        image.SetMetaData(key, str(planted.value(f"header {key}", "LO")))
    for suffix in SUFFIXES:
        source = root / f"scan_{suffix[1:].replace('.', '_')}" / f"{word(99999)}{suffix}"
        source.parent.mkdir()
        SimpleITK.WriteImage(image, str(source), useCompression=suffix not in (".nii", ".mhd"))
        add_by_hand(source, planted)
        before, found, same = found_below(source.parent), set(), True
        for target in SUFFIXES:
            output = root / f"{suffix[1:]}_to_{target[1:]}" / f"clean{target}"
            output.parent.mkdir()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                deidentify(source, output, Request(), None, lambda share: None)
            found |= found_below(output.parent)
            same &= image_hash(quietly(output)) == image_hash(quietly(source))
        print(
            f"{suffix}: {len(before)} planted and seen, {len(found)} found in {len(SUFFIXES)} "
            f"formats written, image hash {'same' if same else 'OTHER'}"
        )


def add_by_hand(source: Path, planted: Plants) -> None:
    """Plant what ITK does not write."""
    if source.name.endswith((".nrrd", ".nhdr")):
        head, _, voxels = source.read_bytes().partition(b"\n\n")
        lines = (
            f"# {planted.value('NRRD comment', 'LO')}\n"
            f"content: {planted.value('NRRD content', 'LO')}\n"
            f"Patient:={planted.value('NRRD key and value', 'LO')}\n"
            f"{planted.value('NRRD key', 'LO')}:=x"
        )
        source.write_bytes(head + b"\n" + lines.encode() + b"\n\n" + voxels)
    if source.name.endswith((".nii", ".nii.gz")):
        packed = source.name.endswith(".gz")
        data = bytearray(gzip.decompress(source.read_bytes()) if packed else source.read_bytes())
        for place, start in (("db_name", 14), ("descrip", 148), ("aux_file", 228), ("intent", 328)):
            text = str(planted.value(f"NIfTI {place}", "LO")).encode()
            data[start : start + len(text)] = text
        extension = str(planted.value("NIfTI extension", "LO")).encode()
        block = (32).to_bytes(4, "little") + (4).to_bytes(4, "little") + extension.ljust(24, b"\0")
        data[348:352] = b"\1\0\0\0"
        data[108:112] = np.float32(352 + 32).tobytes()
        data[352:352] = block
        if packed:
            name_within = str(planted.value("gzip file name", "LO"))
            with source.open("wb") as file, gzip.GzipFile(name_within, "wb", fileobj=file) as whole:
                whole.write(data)
        else:
            source.write_bytes(data)


def print_mark(root: Path, scan: Path) -> None:
    """Mark a planted scan as it is de-identified; look at its bytes, names and the mark's text."""
    planted, source = phantom_series(root / "phantom")
    hashed = image_hash(quietly(source)).digest
    account = Account.from_key(b"\x42" * 32)
    marking = Marking(DIAGNOSIS, account, b"", 0, None, None, None, False, Request())
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mark_file(source, root / "marked", root / "marked.restoration", marking, JsonReport())
    message = extract(quietly(root / "marked").voxels).message or b""
    found = found_below(root / "marked") | found_in((root / "marked.restoration").read_bytes())
    found |= found_in(message)
    print(
        f"embed --deidentify: {len(planted.places)} planted, {len(found)} found in the marked "
        f"scan, its record and the mark's text ({len(message)} bytes)"
    )
    refused = 0
    naming = ["PatientName", "PatientID", "AccessionNumber", "OperatorsName", "StudyID"]
    for number, where in planted.places.items():
        if where not in naming:
            continue
        text = f"Meningioma of {word(number)}."
        wrong = Marking(text, account, b"", 0, None, None, None, False, Request())
        try:
            with redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                mark_file(source, root / "no", root / "no.restoration", wrong, JsonReport())
        except IdentifyingDiagnosisError:
            refused += 1
    print(f"diagnoses that contain a planted identity: {refused} of {len(naming)} refused")
    assert hashed


def phantom_series(folder: Path) -> tuple[Plants, Path]:
    """Write a planted CT with room for a claim."""
    small = planted_series(folder)
    voxels = np.random.default_rng(1).normal(40, 20, (3, 384, 384)).round().astype(np.int16)
    y, x = np.mgrid[-1:1:384j, -1:1:384j]
    voxels[:, x**2 + y**2 > 0.8] = -1000
    for path, pixels in zip(sorted(folder.iterdir()), voxels, strict=True):
        instance = pydicom.dcmread(path)
        instance.Rows, instance.Columns = pixels.shape
        instance.PixelData = pixels.tobytes()
        instance.RescaleIntercept = 0
        instance.save_as(path)
    return small, folder


def quietly(path: Path) -> Volume:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_volume(path)


# --- The comparison ------------------------------------------------------------------------------

IDISCORE = """
import json, sys, warnings
warnings.simplefilter("ignore")
import pydicom
from idiscore.core import Core, Profile
from idiscore.defaults import get_dicom_rule_sets
sets = get_dicom_rule_sets()
chosen = [sets.basic_profile] + [getattr(sets, name) for name in json.loads(sys.argv[2])]
core = Core(Profile(chosen))
rules = core.profile.flatten()
outcome = {}
for line in open(sys.argv[1] + "/list"):
    path = sys.argv[1] + "/" + line.strip()
    dataset = pydicom.dcmread(path, force=True)
    try:
        core.apply_rules(rules, dataset)
        dataset.save_as(path + ".theirs", write_like_original=True)
        if rules.get_rule(pydicom.DataElement(int(line, 16), "LO", "")) is None:
            outcome[line.strip()] = "no rule"
    except Exception as error:
        outcome[line.strip()] = type(error).__name__
print(json.dumps(outcome))
"""
THEIR_OPTIONS = {
    "basic profile": [],
    "modified dates": ["retain_modified_dates"],
    "device identity": ["retain_device_id"],
    "patient characteristics": ["retain_patient_characteristics"],
    "clean descriptors": ["clean_descriptors"],
}


def comparison(python: Path | None = None) -> None:
    with tempfile.TemporaryDirectory() as place, discreet_pydicom():
        root = Path(place)
        if python is None:
            venv.create(root / "idiscore", with_pip=True)
            python = root / "idiscore" / "bin" / "python"
            install = [python, "-m", "pip", "install", "-q", "idiscore==1.2.0"]
            subprocess.run(install, check=True, capture_output=True)
        (root / "run.py").write_text(IDISCORE)
        for title, theirs in THEIR_OPTIONS.items():
            for nested in (False, True):
                folder = root / f"{title}_{nested}"
                folder.mkdir()
                compare(folder, title, theirs, nested, [str(python), str(root / "run.py")])


def compare(folder: Path, title: str, theirs: list[str], nested: bool, run: list[str]) -> None:
    tags = {tag: vr for tag, vr in table().items() if tag >> 16 >= 8 and tag >> 16 != 0xFFFC}
    plants, names = Plants(), []
    for tag, vr in tags.items():
        one = single(tag, vr, plants, nested)
        names.append(f"{tag:08X}")
        one.save_as(folder / names[-1], enforce_file_format=True)
    (folder / "list").write_text("\n".join(names))
    told = subprocess.run(
        [*run, str(folder), json.dumps(theirs)], check=True, capture_output=True, text=True
    )
    failed = json.loads(told.stdout.splitlines()[-1])
    differences: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    same = 0
    for tag, vr in tags.items():
        file = f"{tag:08X}"
        source = pydicom.dcmread(folder / file)
        ours = pydicom.dcmread(folder / file)
        Deidentifier(OPTIONS[title]).deidentify(ours)
        mine = state(source, ours, tag, nested)
        unknown = failed.get(file) == "no rule"
        if file in failed and not unknown:
            other = f"fails ({failed[file]})"
        else:
            other = state(source, pydicom.dcmread(folder / f"{file}.theirs"), tag, nested)
        if mine == other:
            same += 1
        else:
            differences[mine, other, why(tag, vr, mine, other, unknown)].append(name(tag))
    where = "in items" if nested else "at the top"
    print(f"{title}, {where}: {len(tags)} attributes, {same} treated alike")
    for (mine, other, reason), attributes in sorted(differences.items()):
        print(f"  {len(attributes):4d} here {mine}, there {other}: {reason}")
        print(f"       {', '.join(attributes[:6])}{', ...' if len(attributes) > 6 else ''}")
    unexplained = [key for key in differences if key[2] == "UNEXPLAINED"]
    print(f"  {sum(map(len, differences.values()))} differ, {len(unexplained)} kinds unexplained")


def single(tag: int, vr: str, plants: Plants, nested: bool) -> FileDataset:
    """Return a data set that holds one planted attribute."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    instance = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    instance.SOPClassUID = meta.MediaStorageSOPClassUID
    instance.SOPInstanceUID = "1.2.3.4"
    instance.StudyInstanceUID = "1.2.3.5"
    holder: Dataset = instance
    if nested:
        holder = Dataset()
        instance.AnatomicRegionSequence = [holder]
    holder[tag] = DataElement(Tag(tag), vr, plants.value(name(tag), vr))
    return instance


def state(source: Dataset, result: Dataset, tag: int, nested: bool) -> str:
    """Tell what became of the attribute: removed, emptied, changed or kept."""
    if nested:
        source = source.AnatomicRegionSequence[0]
        items = result.get("AnatomicRegionSequence") or [Dataset()]
        result = items[0]
    if tag not in result:
        return "removed"
    before, after = source[tag], result[tag]
    if not after.value and after.value != 0:
        return "emptied"
    return "kept" if str(after) == str(before) else "changed"


def why(tag: int, vr: str, mine: str, other: str, unknown: bool) -> str:
    """Explain a difference."""
    code = _profile().get(tag, "")
    if other.startswith("fails"):
        return "it knows no dummy for such an attribute, or cannot clean one of its kind"
    if vr == "SQ" and other in ("changed", "kept") and mine in ("removed", "emptied"):
        return "it leaves every sequence and cleans the items; the table's action is for all of it"
    if unknown and other == "kept":
        return "its table of 2024 does not have it yet"
    if code in ("X_D", "X_Z", "X_Z_D") and other == "removed":
        return "within items it may be required, so X/D and X/Z do not remove it here"
    if code == "Z_D" and {mine, other} == {"changed", "emptied"}:
        return "Z and D are both allowed; the dummy is right also where a value is required"
    if tag == Tag("PatientName"):
        return "a pseudonym instead of nothing keeps patients apart (Z allows both)"
    if tag == Tag("TimezoneOffsetFromUTC"):
        return "of moved dates the zone says nothing but where they were from"
    if other == "changed" and mine in ("removed", "emptied"):
        return "it writes CLEANED; of this text no word is known to be harmless, so nothing is left"
    if other == "kept" and mine == "changed":
        return "it keeps what an option retains; here texts among it are cleaned"
    return "UNEXPLAINED"


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else "both"
    if chosen in ("both", "plants"):
        plants()
    if chosen in ("both", "comparison"):
        comparison(Path(sys.argv[2]) if len(sys.argv) > 2 else None)
