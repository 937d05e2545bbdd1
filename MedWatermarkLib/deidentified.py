"""Copies of scans that may leave the house: DICOM series and volumes, de-identified."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from MedWatermarkLib.burned_in import (
    BurnedInIdentityError,
    clear_unused_bits,
    header_reasons,
    looks_lettered,
)
from MedWatermarkLib.confidentiality import Action, Options
from MedWatermarkLib.deidentify import Deidentifier, Outcome
from MedWatermarkLib.dicom_series import Series, discreet_pydicom, is_dicom, read_instance
from MedWatermarkLib.face import face_warning
from MedWatermarkLib.header_text import check_name, header_keys
from MedWatermarkLib.identity import identity_of_dicom
from MedWatermarkLib.image_errors import ImageReadError, understanding
from MedWatermarkLib.imageio import list_series, read_volume, write_volume
from MedWatermarkLib.output import OutputError
from MedWatermarkLib.scratch import scratch
from MedWatermarkLib.volume import Volume, image_hash

Progress = Callable[[float], None]


_IMAGE_SUFFIXES = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd")


@dataclass(frozen=True)
class Request:
    """How a scan is to be de-identified.

    Attributes
    ----------
    options : Options
    key : bytes
        Secret of the pseudonyms; empty, if one is to be made up.
    pixels_checked : bool
        Whether a person has looked at the pixels and found no one named in them.
    """

    options: Options = field(default_factory=Options)
    key: bytes = field(default=b"", repr=False)
    pixels_checked: bool = False


@dataclass(frozen=True)
class Deidentified:
    """What came of it.

    Attributes
    ----------
    outcomes : tuple of Outcome
        What became of each attribute, or key of a header.
    remarks : tuple of str
        Sentences that the user should read.
    series, files : int
        How many were written.
    """

    outcomes: tuple[Outcome, ...]
    remarks: tuple[str, ...]
    series: int
    files: int


def deidentify(
    source: Path, output: Path, request: Request, series: str | None, tell: Progress
) -> Deidentified:
    """Write a de-identified copy of a scan.

    Parameters
    ----------
    source : pathlib.Path
        DICOM file or folder, or an NRRD, NIfTI or MetaImage file.
    output : pathlib.Path
        New file, or new folder for DICOM, as of `write_volume`. Of a folder with several series
        each gets a folder of its own.
    request : Request
    series : str or None
        Series Instance UID; without it all images of a folder, if a folder is written.
    tell : callable
        Called with the share that is done.

    Raises
    ------
    ImageReadError, ImageWriteError, BurnedInIdentityError, IdentifyingNameError, OutputError
        Something may be left at `output` then.
    """
    if source.is_file() and source.name.lower().endswith(_IMAGE_SUFFIXES):
        return _from_image(source, output, request)
    found = _chosen(source, series)
    if output.name.lower().endswith(_IMAGE_SUFFIXES):
        return _to_image(source, found[0], output, request)
    return _to_dicom(source, found, output, request, tell)


@contextmanager
def deidentified_volume(
    volume: Volume, source: Path | Series, output: Path, request: Request, series: str | None
) -> Iterator[tuple[Volume, Deidentified]]:
    """Give a scan with a de-identified source, to be written while the context lasts.

    Parameters
    ----------
    volume : Volume
        As it was read from `source`.
    source : pathlib.Path or Series
    output : pathlib.Path
        Where it will be written: its name is checked, and the copy lies beside it meanwhile.
    request : Request
    series : str or None

    Yields
    ------
    volume : Volume
        Of the same voxels; its `identity` is still that of the original, to check a diagnosis by.
    found : Deidentified
    """
    check_name(output, volume.identity)
    if volume.source is None and isinstance(source, Path):
        found = _checked_image(volume, source, request)
        yield volume, found
        return
    with scratch(output) as folder:
        chosen = [_chosen(source, series)[0]]
        place = folder / "scan"
        found = _to_dicom(source, chosen, place, request, lambda share: None, volume)
        copy = _read_quietly(place, None)
        yield replace(copy, identity=volume.identity), found


def _chosen(source: Path | Series, series: str | None) -> list[Series]:
    if isinstance(source, Series):
        return [source]
    found = list_series(source)
    if not found:
        raise ImageReadError(f"{source} holds no DICOM images of a scan.")
    if series is None:
        return found
    named = [one for one in found if one.uid == series]
    if not named:
        raise ImageReadError(f"{source} holds no series {series}.")
    return named


def _from_image(source: Path, output: Path, request: Request) -> Deidentified:
    volume = read_volume(source)
    check_name(output, volume.identity)
    found = _checked_image(volume, source, request)
    write_volume(volume, output)
    return found


def _checked_image(volume: Volume, source: Path, request: Request) -> Deidentified:
    _check_lettering(volume, source, request)
    warning = face_warning(volume)
    keys = header_keys(source)
    return Deidentified(
        tuple(Outcome(key, "", Action.ABSENT, 1) for key in keys),
        () if warning is None else (warning,),
        1,
        1,
    )


def _to_image(source: Path, series: Series, output: Path, request: Request) -> Deidentified:
    """Write a DICOM series as NRRD, NIfTI or MetaImage: voxels and geometry alone."""
    headers = _headers(series)
    _check_headers(source, headers, request)
    volume = read_volume(source, series.uid)
    check_name(output, volume.identity)
    _check_lettering(volume, source, request)
    warning = face_warning(volume, headers[0])
    write_volume(volume, output)
    deidentifier = Deidentifier(request.options)
    for header in headers:
        deidentifier.omit(header)
    remarks = () if warning is None else (warning,)
    return Deidentified(deidentifier.outcomes, remarks, 1, 1)


def _to_dicom(
    source: Path | Series,
    chosen: list[Series],
    output: Path,
    request: Request,
    tell: Progress,
    known: Volume | None = None,
) -> Deidentified:
    """Write DICOM series; `known` is the volume of the only one, if it was read already."""
    remarks = _left_out(source, chosen)
    headers = [_headers(series) for series in chosen]
    for one in headers:
        _check_headers(source, one, request)
        with understanding(chosen[0].paths[0]):
            identity = identity_of_dicom(one[0])
        check_name(output, identity)
    deidentifier = Deidentifier(request.options, request.key)
    if output.suffix == ".dcm" and sum(len(one.paths) for one in chosen) > 1:
        raise OutputError(
            f"The scan has several DICOM files; {output.name} must be a folder, without .dcm."
        )
    if output.suffix != ".dcm":
        output.mkdir(exist_ok=True)
    for number, (series, header) in enumerate(zip(chosen, headers, strict=True)):
        volume = known or _volume_of(series)
        warning = None
        if volume is not None:
            _check_lettering(volume, source, request)
            warning = face_warning(volume, header[0])
        if warning is not None:
            remarks.append(warning if len(chosen) == 1 else f"{_title(series)}: {warning}")
        folder = output if len(chosen) == 1 else output / f"{number + 1:02d}"
        _write_series(series, folder, deidentifier, request, warning is not None)
        _check_voxels(volume, series, folder)
        tell((number + 1) / len(chosen))
    files = sum(len(one.paths) for one in chosen)
    return Deidentified(deidentifier.outcomes, tuple(remarks), len(chosen), files)


def _headers(series: Series) -> list[Any]:
    with discreet_pydicom():
        return [read_instance(path, stop_before_pixels=True) for path in series.paths]


def _left_out(source: Path | Series, chosen: list[Series]) -> list[str]:
    """Say how many DICOM files of the folder are not written."""
    if isinstance(source, Series):
        return []
    taken = {path for series in chosen for path in series.paths}
    files = [] if source.is_file() else [path for path in source.rglob("*") if path.is_file()]
    left = sum(path not in taken and is_dicom(path) for path in files)
    if not left:
        return []
    return [
        f"{left} other DICOM files were left out (other series, or reports, segmentations and the "
        "like, which are no images of a scan)."
    ]


def _check_headers(source: Path | Series, headers: list[Any], request: Request) -> None:
    with discreet_pydicom(), understanding(source):
        reasons = dict.fromkeys(reason for one in headers for reason in header_reasons(one))
    if reasons and not request.pixels_checked:
        raise BurnedInIdentityError(str(source), reasons)


def _check_lettering(volume: Volume, source: Path | Series, request: Request) -> None:
    if request.pixels_checked:
        return
    lettered = [number for number, one in enumerate(volume.voxels, 1) if looks_lettered(one)]
    if lettered:
        which = f"slice {lettered[0]}" if len(lettered) == 1 else f"{len(lettered)} slices"
        reason = f"{which} (the first is {lettered[0]}) seems to have letters drawn into it"
        raise BurnedInIdentityError(str(source), [reason])


def _volume_of(series: Series) -> Volume | None:
    """Read a series as a volume; None if it is none, such as pictures in colour."""
    try:
        return read_volume(series)
    except ImageReadError:
        return None


def _read_quietly(path: Path, uid: str | None) -> Volume:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_volume(path, uid)


def _write_series(
    series: Series, folder: Path, deidentifier: Deidentifier, request: Request, face: bool
) -> None:
    """Write the instances of a series, numbered as they were, under names that say nothing."""
    single = folder.suffix == ".dcm"
    if not single:
        folder.mkdir(exist_ok=True)
    with discreet_pydicom():
        for number, path in enumerate(_in_order(series), start=1):
            instance = read_instance(path)
            with understanding(path):
                drawn = clear_unused_bits(instance, str(path))
            if drawn and not request.pixels_checked:
                reason = "something is drawn in the unused bits of its compressed pixels"
                raise BurnedInIdentityError(str(path), [reason])
            with understanding(path):
                deidentifier.deidentify(instance)
                if request.pixels_checked:
                    deidentifier.state(instance, "BurnedInAnnotation", "NO")
                if face:
                    deidentifier.state(instance, "RecognizableVisualFeatures", "YES")
                place = folder if single else folder / f"{number:05d}.dcm"
                instance.save_as(place, enforce_file_format=True)


def _in_order(series: Series) -> list[Path]:
    def number(path: Path) -> tuple[int, Path]:
        header = read_instance(path, stop_before_pixels=True, specific_tags=["InstanceNumber"])
        try:
            return int(header.get("InstanceNumber") or 0), path
        except (TypeError, ValueError):
            return 0, path

    return sorted(series.paths, key=number)


def _check_voxels(volume: Volume | None, series: Series, written: Path) -> None:
    """Make sure that what was written shows what was read."""
    if volume is not None:
        same = image_hash(_read_quietly(written, None)) == image_hash(volume)
    else:
        new = [written] if written.is_file() else sorted(written.iterdir())
        with discreet_pydicom():
            same = all(
                np.array_equal(read_instance(a).PixelData, read_instance(b).PixelData)
                for a, b in zip(_in_order(series), new, strict=True)
            )
    if not same:
        raise OutputError(
            "The de-identified scan could not be written whole, perhaps since the disk is full; "
            "nothing was kept."
        )


def _title(series: Series) -> str:
    return f"Series {series.number}" if series.number is not None else "A series"
