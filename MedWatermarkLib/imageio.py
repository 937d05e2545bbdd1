"""Reading and writing scans: DICOM, NRRD, NIfTI and MetaImage."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK

from MedWatermarkLib.derived_series import write_dicom
from MedWatermarkLib.dicom import read_dicom, read_series
from MedWatermarkLib.dicom_series import Series, discreet_pydicom, find_series, is_dicom
from MedWatermarkLib.identity import identity_of_metadata
from MedWatermarkLib.image_errors import (
    ImageReadError,
    ImageReadWarning,
    ImageWriteError,
    reason_of,
)
from MedWatermarkLib.scratch import scratch
from MedWatermarkLib.stamp import Stamp
from MedWatermarkLib.volume import Volume, VolumeError

__all__ = [
    "ImageReadError",
    "ImageReadWarning",
    "ImageWriteError",
    "Series",
    "list_series",
    "read_volume",
    "write_volume",
]

# SimpleITK tells no types.
sitk: Any = SimpleITK

# As ITK names DICOM attributes in the metadata of other formats, which hold nothing like them:
# Modality, Window Center and Window Width.
_MODALITY = "0008|0060"
_WINDOW = ("0028|1050", "0028|1051")
_SUFFIXES = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd")


def list_series(folder: str | os.PathLike[str]) -> list[Series]:
    """List the DICOM series in a folder, searched recursively, the largest first.

    Parameters
    ----------
    folder : path
        A folder, or one DICOM file.

    Raises
    ------
    ImageReadError
        If there is no such folder.

    Warns
    -----
    ImageReadWarning
        If a file is damaged and was left out.
    """
    with discreet_pydicom():
        series, remarks = find_series(Path(folder))
    for remark in remarks:
        warnings.warn(ImageReadWarning(f"{folder}: {remark}."), stacklevel=2)
    return series


def read_volume(path: str | os.PathLike[str] | Series, series_uid: str | None = None) -> Volume:
    """Read a scan.

    Parameters
    ----------
    path : path or Series
        A DICOM, NRRD, NIfTI or MetaImage file, a folder that is searched for DICOM files, or one
        series that `list_series` found.
    series_uid : str, optional
        Which DICOM series of a folder; without it the largest.

    Returns
    -------
    Volume
        From DICOM the stored values with the rescale of each slice, else the values as ITK reads
        them (a rescale in a NIfTI header is applied), with modality and window where an ITK program
        wrote them into the header.

    Raises
    ------
    ImageReadError
        If there is no scan, or none that can be read: colour, vectors, several volumes, damage.

    Warns
    -----
    ImageReadWarning
        If something was left out or assumed.
    """
    if isinstance(path, Series):
        return read_series(path)
    path = Path(path)
    if not path.exists():
        raise ImageReadError(f"There is no file or folder {path}.")
    if path.is_file() and path.name.lower().endswith(_SUFFIXES):
        return _read_itk(path)
    if path.is_dir() or is_dicom(path):
        return read_dicom(path, series_uid)
    raise ImageReadError(f"{path} is no DICOM, {_format_names()} file.")


def write_volume(
    volume: Volume,
    path: str | os.PathLike[str],
    description: str = "",
    stamp: Stamp | None = None,
) -> None:
    """Write a scan, whole or not at all.

    Parameters
    ----------
    volume : Volume
        The scan.
    path : path
        A new file. By its suffix it becomes NRRD, NIfTI or MetaImage, which hold the rescaled
        values; any other path is a new or empty folder for a DICOM series (``.dcm``: one file,
        for a volume that was read from one), which starts from the instances that the volume was
        read from and holds stored values.
    description : str
        What was done to the voxels, for the header of DICOM.
    stamp : Stamp, optional
        Of which the UIDs and times in DICOM are made; by default a new one.

    Raises
    ------
    ImageWriteError
        If the path is taken, or if the format cannot hold the scan exactly.
    """
    path = Path(path)
    if not path.absolute().parent.is_dir():
        raise ImageWriteError(f"There is no folder {path.absolute().parent} to write to.")
    if path.name.lower().endswith(_SUFFIXES):
        _write_itk(volume, path)
        return
    if path.exists() and (not path.is_dir() or any(path.iterdir()) or path.suffix == ".dcm"):
        raise ImageWriteError(f"{path} exists already; choose a new or empty folder.")
    with discreet_pydicom(), _beside(path) as temporary:
        write_dicom(volume, temporary, description, stamp)
        if path.suffix == ".dcm":
            written = list(temporary.iterdir())
            if len(written) > 1:
                raise ImageWriteError(
                    f"The scan has {len(written)} DICOM files; {path} must be a folder, without "
                    ".dcm."
                )
            os.replace(written[0], path)
            return
        # An empty folder gives way to a folder in one step, except on Windows.
        if path.is_dir():
            path.rmdir()
        os.replace(temporary, path)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Make a folder next to a path, on the same file system, and remove it in the end."""
    try:
        with scratch(path) as folder:
            yield folder
    except OSError as error:
        reason = reason_of(error) or "the system refused it"
        raise ImageWriteError(f"{path} cannot be written: {reason}.") from error


def _format_names() -> str:
    return "NRRD, NIfTI or MetaImage"


def _read_itk(path: Path) -> Volume:
    try:
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        _check_is_scan(reader, path)
        image = _three_dimensional(reader.Execute())
        metadata = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
        return Volume(
            voxels=_in_32_bits(sitk.GetArrayFromImage(image), path),
            spacing=image.GetSpacing(),
            origin=image.GetOrigin(),
            direction=image.GetDirection(),
            modality=metadata.get(_MODALITY, "").strip(),
            window=_window(metadata),
            identity=identity_of_metadata(metadata),
        )
    except RuntimeError as error:
        raise ImageReadError(
            f"{path} cannot be read, it seems damaged: {_last_line(error)}"
        ) from error
    except VolumeError as error:
        raise ImageReadError(f"{path} holds no scan: {error}") from error


def _window(metadata: Mapping[str, str]) -> tuple[float, float] | None:
    """Return centre and width, the first of several, if both are numbers."""
    try:
        center, width = (float(metadata[key].split("\\")[0]) for key in _WINDOW)
    except (KeyError, ValueError):
        return None
    return (center, width) if width > 0 else None


def _check_is_scan(reader: Any, path: Path) -> None:
    """Refuse from the header alone what is no scan."""
    if reader.GetNumberOfComponents() != 1:
        raise ImageReadError(
            f"{path} is a colour or vector image; a scan has one grey value for each voxel."
        )
    size = reader.GetSize()
    if len(size) < 2 or np.prod(size[3:], dtype=int) != 1:
        raise ImageReadError(
            f"{path} has the size {' x '.join(map(str, size))}; one 3-D volume is needed."
        )


def _three_dimensional(image: Any) -> Any:
    if image.GetDimension() == 2:
        return sitk.JoinSeries(image)
    while image.GetDimension() > 3:
        size = [*image.GetSize()[:-1], 0]
        image = sitk.Extract(image, size, [0] * len(size))
    return image


def _in_32_bits(voxels: npt.NDArray[Any], path: Path) -> npt.NDArray[Any]:
    if voxels.dtype.kind not in "iu" or voxels.dtype.itemsize <= 4:
        return voxels
    for dtype in (np.int32, np.uint32):
        if np.iinfo(dtype).min <= voxels.min() and voxels.max() <= np.iinfo(dtype).max:
            return voxels.astype(dtype)
    raise ImageReadError(f"{path} holds 64-bit integers that do not fit in 32 bits.")


def _write_itk(volume: Volume, path: Path) -> None:
    if path.exists():
        raise ImageWriteError(f"{path} exists already; choose another name.")
    voxels = volume.as_rescaled().voxels
    is_nifti = path.name.lower().endswith((".nii", ".nii.gz"))
    if is_nifti and not np.isfinite(voxels).all():
        raise ImageWriteError(
            f"{path} cannot be written: of NIfTI, ITK and others read NaN and infinity as 0. Write "
            "NRRD (.nrrd)."
        )
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(volume.spacing)
    image.SetOrigin(volume.origin)
    image.SetDirection(volume.direction)
    with _beside(path) as folder:
        try:
            sitk.WriteImage(image, str(folder / path.name), useCompression=True)
        except RuntimeError as error:
            raise ImageWriteError(f"{path} cannot be written: {_last_line(error)}") from error
        _check_geometry_is_kept(volume, folder / path.name, path)
        _check_voxels_are_kept(voxels, folder / path.name, path)
        # Of .nhdr and .mhd the header is moved last: it names the file with the voxels.
        files = sorted(folder.iterdir(), key=lambda file: file.name == path.name)
        for file in files:
            if (place := path.with_name(file.name)).exists():
                raise ImageWriteError(f"{place} exists already; choose another name.")
        for file in files:
            os.replace(file, path.with_name(file.name))


def _check_geometry_is_kept(volume: Volume, written: Path, path: Path) -> None:
    """Refuse what the format could not express: ITK's NIfTI straightens sheared axes."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(written))
    reader.ReadImageInformation()
    for there, here in (
        (reader.GetSpacing(), volume.spacing),
        (reader.GetOrigin(), volume.origin),
        (reader.GetDirection(), volume.direction),
    ):
        # Above the float32 of NIfTI, below what would make another geometry.
        if not np.allclose(there, here, rtol=1e-6, atol=1e-5):
            raise ImageWriteError(
                f"{path} cannot be written: its format cannot hold the directions of the axes. "
                "Write NRRD (.nrrd)."
            )


def _check_voxels_are_kept(voxels: npt.NDArray[Any], written: Path, path: Path) -> None:
    """Refuse a file that is not whole: ITK does not notice a full disk in every format."""
    try:
        image = sitk.ReadImage(str(written))
        there = sitk.GetArrayViewFromImage(image)
    except RuntimeError:
        there = np.empty(0)
    if not np.array_equal(there, voxels, equal_nan=voxels.dtype.kind == "f"):
        raise ImageWriteError(f"{path} could not be written whole; the disk may be full.")


def _last_line(error: RuntimeError) -> str:
    """Return what ITK says in the end, after the names of its source files."""
    return str(error).strip().splitlines()[-1].strip()
