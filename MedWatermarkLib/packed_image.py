"""The scan in a package: DICOM instances as they are, or raw NRRD."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from MedWatermarkLib.dicom import DicomSource
from MedWatermarkLib.dicom_series import discreet_pydicom
from MedWatermarkLib.image_errors import ImageReadError, understanding
from MedWatermarkLib.manifest import ImageEntry
from MedWatermarkLib.nrrd import check_nrrd, nrrd_header
from MedWatermarkLib.package_errors import IdentifiedImageError, PackageContentError, PackageError
from MedWatermarkLib.volume import Volume

# Nothing in these is compressed, so that a file holds no more than its length; a deflated or
# encapsulated one of some kilobytes could ask for any amount of memory.
_NATIVE = frozenset({ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian})

_SIZED_BY = ("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated")
_PIECE_SIZE = 1 << 20


@dataclass(frozen=True)
class PackedImage:
    """What of a scan goes into a package.

    Attributes
    ----------
    entry : ImageEntry
    sizes : tuple of int
        Bytes of each file.
    """

    entry: ImageEntry
    sizes: tuple[int, ...]
    _paths: tuple[Path, ...]
    _volume: Volume

    def pieces(self, index: int) -> Iterator[bytes]:
        """Yield the bytes of one of the files, in pieces of any size."""
        if not self._paths:
            yield from _nrrd_pieces(self._volume)
            return
        with self._paths[index].open("rb") as file:
            while piece := file.read(_PIECE_SIZE):
                yield piece


def pack_image(volume: Volume) -> PackedImage:
    """Say what of a scan goes into a package, after checking that it may.

    Parameters
    ----------
    volume : Volume
        As it was read: if from DICOM, its instances are what is packed; else it becomes NRRD, of
        which nothing but voxels and geometry goes along.

    Raises
    ------
    IdentifiedImageError
        If its instances still say whose they are.
    PackageError
        If its instances are compressed.
    """
    shape = (volume.voxels.shape[0], volume.voxels.shape[1], volume.voxels.shape[2])
    if isinstance(volume.source, DicomSource):
        paths = tuple(dict.fromkeys(one.path for one in volume.source.slices))
        for path in paths:
            header = _header(path)
            if header.get("PatientIdentityRemoved") != "YES":
                raise IdentifiedImageError(
                    "The scan was not de-identified (see its Patient Identity Removed); a package "
                    "leaves the house, so de-identify it first."
                )
        entry = ImageEntry("DICOM", shape, volume.modality)
        return PackedImage(entry, tuple(path.stat().st_size for path in paths), paths, volume)
    exported = volume.as_rescaled()
    size = len(nrrd_header(exported)) + exported.voxels.nbytes
    return PackedImage(ImageEntry("NRRD", shape, volume.modality), (size,), (), exported)


def check_image(paths: Sequence[Path], entry: ImageEntry) -> None:
    """Check that received files hold the scan that a manifest tells of, and no more.

    No pixel is read, and nothing is decompressed: this comes first.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        DICOM instances, or one NRRD file.
    entry : ImageEntry

    Raises
    ------
    PackageContentError
        If they do not, or are of a form that packages do not hold.
    """
    if entry.format == "NRRD":
        check_nrrd(paths[0], entry.shape)
        return
    slices = 0
    for path in paths:
        try:
            header = _header(path)
            with understanding(path):
                rows, columns, frames, samples, bits = (
                    int(header.get(keyword) or 1) for keyword in _SIZED_BY
                )
        except (ImageReadError, PackageError) as error:
            raise PackageContentError(
                f"image/{path.name} in the package is no uncompressed DICOM image."
            ) from error
        slices += frames
        if (
            (rows, columns) != entry.shape[1:]
            or frames < 1
            or (rows * columns * frames * samples * bits > 8 * path.stat().st_size)
        ):
            raise PackageContentError(
                f"image/{path.name} in the package has not the size that its manifest says."
            )
    if slices != entry.shape[0]:
        raise PackageContentError(
            f"The image in the package has {slices} slices, and its manifest says {entry.shape[0]}."
        )


def _header(path: Path) -> Dataset:
    """Read the header of an instance that is not compressed in any way."""
    with discreet_pydicom(), understanding(path):
        syntax = _transfer_syntax(path)
    if syntax not in _NATIVE:
        raise PackageError(
            "The scan has DICOM files that are compressed or have no file meta information; mark "
            "it first, which writes them as packages need them."
        )
    with discreet_pydicom(), understanding(path):
        tags = [*_SIZED_BY, "PatientIdentityRemoved"]
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)


def _transfer_syntax(path: Path) -> str:
    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return ""
    return str(read_file_meta_info(path).get("TransferSyntaxUID") or "")


def _nrrd_pieces(volume: Volume) -> Iterator[bytes]:
    yield nrrd_header(volume)
    for values in volume.voxels:
        yield values.astype(values.dtype.newbyteorder("<")).tobytes()
