"""What the tests share: real scans where they are at hand, phantoms where they are not."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from instances import ct_instance
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

from MedWatermarkLib.imageio import ImageReadWarning, read_volume
from MedWatermarkLib.volume import Volume

_DEFAULT_SCANS = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def scans() -> Path:
    """The folder of real scans; a test that wants them is skipped where it is missing."""
    folder = Path(os.environ.get("MEDWATERMARK_DATA", _DEFAULT_SCANS))
    if not folder.is_dir():
        pytest.skip(f"the real scans are not in {folder} (set MEDWATERMARK_DATA)")
    return folder


def _read_quietly(folder: Path) -> Volume:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImageReadWarning)
        return read_volume(folder)


@pytest.fixture(scope="session")
def ct_head_ge(scans: Path) -> Volume:
    return _read_quietly(scans / "ct-head-ge")


@pytest.fixture(scope="session")
def ct_head_philips(scans: Path) -> Volume:
    return _read_quietly(scans / "ct-head-philips")


@pytest.fixture(scope="session")
def mr_head_t1(scans: Path) -> Volume:
    return _read_quietly(scans / "mr-head-t1")


@pytest.fixture(scope="session")
def pydicom_file() -> Callable[[str], Path]:
    """Where a test file of pydicom's wheel lies."""
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    return lambda name: folder / name


def _head(slices: int, size: int) -> np.ndarray:
    """Stored values (slices, size, size), int16, of a head of skull and brain in air: HU."""
    z, y, x = np.mgrid[-1 : 1 : slices * 1j, -1 : 1 : size * 1j, -1 : 1 : size * 1j]
    radius = np.sqrt((x / 0.75) ** 2 + (y / 0.9) ** 2 + (z / 1.4) ** 2)
    noise = np.random.default_rng(7).normal(0, 5, radius.shape)
    brain = 35 + 10 * np.sin(9 * x) * np.cos(7 * y) + noise
    head = np.where(radius < 0.88, brain, 900 + 4 * noise)
    return np.where(radius < 1, head, -1000).round().astype(np.int16)


@pytest.fixture
def ct_phantom() -> Volume:
    """A head of 5 slices of 96 x 96, in HU with slope 1, oblique in space."""
    angle = np.radians(12)
    cosine, sine = np.cos(angle), np.sin(angle)
    return Volume(
        _head(5, 96),
        spacing=(1.9, 1.9, 5.0),
        origin=(-91.2, -83.25, 40.0),
        direction=(1, 0, 0, 0, cosine, -sine, 0, sine, cosine),
        valid_range=(-1024, 3071),
        modality="CT",
        window=(40.0, 80.0),
    )


EditSlice = Callable[[FileDataset, int], None]
MakeSeries = Callable[..., Path]


@pytest.fixture
def make_series(tmp_path: Path) -> MakeSeries:
    """Write a CT series: ``make_series(voxels, edit, folder="scan")`` -> its folder.

    `edit` gets each instance and its number before it is written, to make of it what the test
    needs; `voxels` (z, y, x) are stored values in 16 bits.
    """

    def make(
        voxels: np.ndarray | None = None, edit: EditSlice | None = None, folder: str = "scan"
    ) -> Path:
        place = tmp_path / folder
        place.mkdir(parents=True, exist_ok=True)
        series, study, frame_of_reference = (generate_uid() for _ in range(3))
        for index, pixels in enumerate(_head(4, 64) if voxels is None else voxels):
            instance = ct_instance(pixels, index)
            instance.SeriesInstanceUID = series
            instance.StudyInstanceUID = study
            instance.FrameOfReferenceUID = frame_of_reference
            if edit is not None:
                edit(instance, index)
            instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
            # Written against the order of the slices, so that the names do not give it away.
            pydicom.dcmwrite(place / f"{99 - index:02d}", instance, enforce_file_format=True)
        return place

    return make
