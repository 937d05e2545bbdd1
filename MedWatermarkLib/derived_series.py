"""Writing a volume as a DICOM series derived from the instances that it was read from."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from MedWatermarkLib import __version__
from MedWatermarkLib.dicom import DicomSource
from MedWatermarkLib.dicom_pixels import (
    is_encapsulated,
    pixel_words,
    transfer_syntax,
    valid_range,
    words_with_values,
)
from MedWatermarkLib.dicom_series import read_instance
from MedWatermarkLib.image_errors import ImageReadError, ImageWriteError, understanding
from MedWatermarkLib.slice_grid import frames_of
from MedWatermarkLib.stamp import Stamp
from MedWatermarkLib.volume import Volume

# A private coding scheme (PS3.16 section 8): CID 7203 has no code for a change as small as a mark.
_SCHEME = "99MEDWATERMARK"

#: Derivation Description of a marked scan.
MARKED = "Signed claim embedded as a reversible watermark in the voxel values by MedWatermark"
_DEFAULT_DESCRIPTION = "Voxel values changed by MedWatermark"

# Of what is only true of the source: its signatures (over its UIDs and pixels, PS3.15 C), and the
# tables of its compressed frames.
_UNTRUE_OF_DERIVED = ("DigitalSignaturesSequence", "MACParametersSequence")
_OF_COMPRESSED_FRAMES = (
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "EncapsulatedPixelDataValueTotalLength",
    "IconImageSequence",  # its pixels may be compressed too
)


def write_dicom(
    volume: Volume, folder: Path, description: str = "", stamp: Stamp | None = None
) -> None:
    """Write the instances that a volume was read from again, with its voxels.

    Pixel data are stored as in the source, but uncompressed, in the transfer syntax of the source
    or, where that compresses, in Explicit VR Little Endian. The series and its instances get new
    UIDs; Image Type, Derivation Description, Source Image Sequence and Contributing Equipment
    Sequence say what they are (PS3.3 C.7.6.1, C.12.1). All else is kept, private attributes too.

    Parameters
    ----------
    volume : Volume
        The scan, with a `DicomSource`.
    folder : pathlib.Path
        Where files ``00001.dcm`` and so on are written, in the order of the slices. The names of
        the source's files are not used: they may name the patient.
    description : str
        Derivation Description: what was done to the voxels.
    stamp : Stamp, optional
        Of which the UIDs are made, and the time at which it was derived; by default a new one.

    Raises
    ------
    ImageWriteError
        If the volume is not from DICOM or no longer fits its source, or if a value cannot be
        stored.
    """
    files: dict[Path, list[tuple[int, int]]] = defaultdict(list)
    for index, one in enumerate(_source(volume).slices):
        files[one.path].append((one.frame, index))
    stamp = stamp or Stamp.now()
    try:
        uids = _NewUIDs(list(files), stamp)
        extremes = volume.voxels.min(), volume.voxels.max()
        for number, (path, frames) in enumerate(files.items(), start=1):
            instance = read_instance(path)
            indices = [index for _, index in sorted(frames)]
            with understanding(path):
                _replace_pixels(instance, volume, path, indices)
                _correct_extremes(instance, volume.voxels[indices], extremes)
                uids.renew(instance, path)
                _describe(instance, description or _DEFAULT_DESCRIPTION, stamp.time)
                _save(instance, folder / f"{number:05d}.dcm")
    except ImageReadError as error:
        raise ImageWriteError(f"The source of the scan cannot be read again: {error}") from error


def _source(volume: Volume) -> DicomSource:
    source = volume.source
    if not isinstance(source, DicomSource):
        raise ImageWriteError(
            "The scan was not read from DICOM, so there are no instances to write it into; write "
            "NRRD (.nrrd), NIfTI (.nii.gz) or MetaImage (.mha)."
        )
    grid = source.grid
    if (volume.spacing, volume.origin, volume.direction) != (
        grid.spacing,
        grid.origin,
        grid.direction,
    ) or len(volume.voxels) != len(source.slices):
        raise ImageWriteError(
            "The geometry of the scan is no longer that of the DICOM instances that it was read "
            "from, and these cannot be written with another."
        )
    return source


class _NewUIDs:
    """UIDs of the written series, and what they stand for in the source."""

    def __init__(self, paths: list[Path], stamp: Stamp) -> None:
        self._series = stamp.uid("series")
        self._instances = {
            path: stamp.uid("instance", str(number)) for number, path in enumerate(paths, start=1)
        }
        self._of_source: dict[str, str] = {}
        for path in paths:
            wanted = ["SOPInstanceUID", "SeriesInstanceUID"]
            uids = read_instance(path, stop_before_pixels=True, specific_tags=wanted)
            with understanding(path):
                self._of_source[str(uids.get("SOPInstanceUID"))] = self._instances[path]
                self._of_source[str(uids.get("SeriesInstanceUID"))] = self._series

    def renew(self, instance: Dataset, path: Path) -> None:
        """Give an instance its UIDs, and let it name others of its series by theirs."""
        self._renew_references(instance)
        _add_source_image(instance)
        instance.SeriesInstanceUID = self._series
        instance.SOPInstanceUID = self._instances[path]

    def _renew_references(self, dataset: Dataset) -> None:
        for tag in list(dataset.keys()):
            if _vr(dataset, tag) != "SQ":
                continue
            for item in dataset[tag].value or []:
                for keyword in ("ReferencedSOPInstanceUID", "SeriesInstanceUID"):
                    if str(item.get(keyword)) in self._of_source:
                        setattr(item, keyword, self._of_source[str(item.get(keyword))])
                self._renew_references(item)


def _vr(dataset: Dataset, tag: BaseTag) -> str:
    """VR of an element, without decoding its value: what is not touched is written as it was."""
    vr = dataset.get_item(tag).VR
    if vr is None and not tag.is_private:
        vr = dictionary_VR(tag) if dictionary_has_tag(tag) else None
    return vr or "UN"


def _replace_pixels(instance: Dataset, volume: Volume, path: Path, indices: list[int]) -> None:
    """Put the slices of a volume, by their indices, into the frames of an instance."""
    words = pixel_words(instance, str(path))
    if words.shape != (len(indices), *volume.voxels.shape[1:]):
        raise ImageWriteError(f"{path} has changed since the scan was read from it.")
    for frame, index in zip(frames_of(path, instance), indices, strict=True):
        rescale = frame.slope or 1.0, frame.intercept or 0.0
        if rescale != (volume.slope[index], volume.intercept[index]):
            raise ImageWriteError(
                f"The rescale of slice {index + 1} is no longer that of {path}, and DICOM is "
                "written in stored values."
            )
        _check_storable(volume, index, words, instance)
    written = words_with_values(volume.voxels[indices], words, instance)
    _set_pixel_data(instance, written)


def _check_storable(volume: Volume, index: int, words: npt.NDArray[Any], instance: Dataset) -> None:
    values = volume.voxels[index]
    if words.dtype.kind == "f":
        if not np.array_equal(values.astype(words.dtype), values, equal_nan=True):
            raise ImageWriteError(f"Slice {index + 1} has values that {words.dtype} cannot hold.")
        return
    low, high = valid_range(instance, words) or (0, 0)
    # NaN is in no range.
    if not (low <= values.min() and values.max() <= high):
        raise ImageWriteError(
            f"Slice {index + 1} has values from {values.min()} to {values.max()}, but its DICOM "
            f"instance can hold {low} to {high}."
        )
    if values.dtype.kind == "f" and (values != np.rint(values)).any():
        raise ImageWriteError(
            f"Slice {index + 1} has values that are not whole numbers; its DICOM instance stores "
            "integers."
        )


def _set_pixel_data(instance: Dataset, words: npt.NDArray[Any]) -> None:
    """Store words uncompressed, in the byte order in which the instance will be written."""
    order: Literal["<", ">"] = ">" if transfer_syntax(instance) == ExplicitVRBigEndian else "<"
    if is_encapsulated(instance):
        for keyword in _OF_COMPRESSED_FRAMES:
            if keyword in instance:
                del instance[keyword]
        instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stored = words.astype(words.dtype.newbyteorder(order)).tobytes()
    stored += b"\0" * (len(stored) % 2)
    keyword, vr = {
        np.dtype(np.float32): ("FloatPixelData", "OF"),
        np.dtype(np.float64): ("DoubleFloatPixelData", "OD"),
        np.dtype(np.uint8): ("PixelData", "OB"),
        np.dtype(np.int8): ("PixelData", "OB"),
    }.get(words.dtype, ("PixelData", "OW"))
    # A new element: the old one may say that it is of undefined length.
    instance[keyword] = DataElement(keyword, vr, stored)


def _correct_extremes(
    instance: Dataset, values: npt.NDArray[Any], extremes: tuple[Any, Any]
) -> None:
    """Correct what the instance says of its least and greatest stored values, if it does.

    `values` are those of the instance, `extremes` those of the series.
    """
    vr, low, high = "US", 0, (1 << 16) - 1
    if instance.get("PixelRepresentation"):
        vr, low, high = "SS", -(1 << 15), (1 << 15) - 1
    for keyword, extreme in (
        ("SmallestImagePixelValue", values.min()),
        ("LargestImagePixelValue", values.max()),
        ("SmallestPixelValueInSeries", extremes[0]),
        ("LargestPixelValueInSeries", extremes[1]),
    ):
        if keyword not in instance:
            continue
        if low <= extreme <= high:
            instance[keyword] = DataElement(keyword, vr, int(extreme))
        else:
            del instance[keyword]


def _describe(instance: Dataset, description: str, time: int) -> None:
    """Say in the header that, how and by what the image was derived."""
    for keyword in _UNTRUE_OF_DERIVED:
        if keyword in instance:
            del instance[keyword]
    now = datetime.datetime.fromtimestamp(time, datetime.UTC)
    instance.ImageType = _derived(instance.get("ImageType") or ["ORIGINAL", "PRIMARY"])
    for group in _functional_groups(instance):
        for element in group:
            if element.VR == "SQ" and element.value and "FrameType" in element.value[0]:
                element.value[0].FrameType = _derived(element.value[0].FrameType)
    earlier = instance.get("DerivationDescription")
    history = f"{earlier}; {description}" if earlier else description
    instance.DerivationDescription = history if len(history) <= 1024 else description[:1024]
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [_code("109103", "Modifying Equipment")]
    equipment.Manufacturer = "MedWatermark"
    equipment.ManufacturerModelName = "MedWatermark"
    equipment.SoftwareVersions = __version__
    equipment.ContributionDateTime = now.strftime("%Y%m%d%H%M%S+0000")
    equipment.ContributionDescription = description[:1024]
    _append(instance, "ContributingEquipmentSequence", equipment)
    # The date on which the SOP Instance UID was assigned (PS3.3 C.12.1).
    if "InstanceCreationDate" in instance:
        instance.InstanceCreationDate = now.strftime("%Y%m%d")
    if "InstanceCreationTime" in instance:
        instance.InstanceCreationTime = now.strftime("%H%M%S")


def _add_source_image(instance: Dataset) -> None:
    """Name the instance itself, before it gets its new UID, as the source of the derived one."""
    reference = Dataset()
    reference.ReferencedSOPClassUID = instance.get("SOPClassUID")
    reference.ReferencedSOPInstanceUID = instance.get("SOPInstanceUID")
    if not reference.ReferencedSOPClassUID or not reference.ReferencedSOPInstanceUID:
        return
    reference.PurposeOfReferenceCodeSequence = [
        _code("121322", "Source image for image processing operation")
    ]
    groups = _functional_groups(instance)
    if not groups:
        _append(instance, "SourceImageSequence", reference)
        return
    # Enhanced images name their sources in a functional group (PS3.3 C.7.6.16.2.6), which is
    # shared by the frames unless these have one of their own.
    own = [group for group in groups if "DerivationImageSequence" in group]
    for group in own or groups[:1]:
        derivation = Dataset()
        derivation.DerivationCodeSequence = [_code("MODIFIED", "Voxel values modified", _SCHEME)]
        derivation.SourceImageSequence = [reference]
        _append(group, "DerivationImageSequence", derivation)


def _functional_groups(instance: Dataset) -> list[Dataset]:
    return [
        *(instance.get("SharedFunctionalGroupsSequence") or []),
        *(instance.get("PerFrameFunctionalGroupsSequence") or []),
    ]


def _derived(image_type: Iterable[str]) -> list[str]:
    return ["DERIVED", *list(image_type)[1:]]


def _code(value: str, meaning: str, scheme: str = "DCM") -> Dataset:
    code = Dataset()
    code.CodeValue = value
    code.CodingSchemeDesignator = scheme
    code.CodeMeaning = meaning
    return code


def _append(dataset: Dataset, keyword: str, item: Dataset) -> None:
    setattr(dataset, keyword, [*(dataset.get(keyword) or []), item])


def _save(instance: Dataset, path: Path) -> None:
    if not hasattr(instance, "file_meta"):
        instance.file_meta = FileMetaDataset()
    meta = instance.file_meta
    meta.TransferSyntaxUID = transfer_syntax(instance)
    for keyword in ("ImplementationClassUID", "ImplementationVersionName"):
        if keyword in meta:  # of who wrote the source; pydicom fills in its own
            delattr(meta, keyword)
    # What a preamble says (TIFF) would be of the source's bytes.
    instance.preamble = b"\0" * 128
    instance.save_as(path, enforce_file_format=True)
