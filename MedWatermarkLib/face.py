"""Heads whose face could be rendered from the voxels.

Taking names out of a header leaves the face in a scan of the head, and volume rendering shows it
to whoever cares (C. G. Schwarz et al., New England Journal of Medicine 381(17), 2019, 1684-1686).
Nothing is cut away here; it is said, with what speaks for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from scipy import ndimage

from MedWatermarkLib.volume import Volume

BoolArray = npt.NDArray[np.bool_]

_TOLD_BY = ("BodyPartExamined", "StudyDescription", "SeriesDescription", "ProtocolName")
_HEAD = re.compile(
    r"(head|brain|skull|face|facial|crani|cereb|sinus|orbit|neuro|kopf|sch[äa]del|gehirn|hirn|"
    r"t[êe]te|cabeza|testa|cranio|\biac\b|\btmj\b|\bnnh\b)",
    re.IGNORECASE,
)
# Fine enough for a face, coarse enough to be quick; mm.
_GRID = 3.0
# Air below, skin above, in HU; C. T. of skin and fat are above -300.
_SKIN_HU = -300.0
# A head's width and depth in axial slices, mm; adults' and children's, with ears and hair.
_WIDTHS, _DEPTHS = (100.0, 215.0), (120.0, 270.0)
# Of them in succession, mm, and skin in front of them, square mm: a quarter of a face.
_LEAST_HEIGHT, _LEAST_AREA = 45.0, 6000.0


@dataclass(frozen=True)
class Skin:
    """What of a scan's surface looks to the front.

    Attributes
    ----------
    height : float
        Extent of slices of a head's size, mm.
    area : float
        Surface in them that faces the front, projected on the coronal plane, square mm.
    """

    height: float
    area: float

    @property
    def shows_face(self) -> bool:
        """Whether a face could be rendered."""
        return self.height >= _LEAST_HEIGHT and self.area >= _LEAST_AREA


def face_warning(volume: Volume, header: Dataset | None = None) -> str | None:
    """Say that, and why, a face could be rendered from a scan.

    The voxels decide: in patient coordinates (LPS), air and tissue are told apart (-300 HU on a
    CT, else Otsu's threshold), and axial slices of the greatest part that are as wide and deep as
    a head are counted, with the surface that faces the front and is not cut off by the field of
    view. Where the header says that it is a head, half of that suffices.

    Parameters
    ----------
    volume : Volume
    header : pydicom.Dataset, optional
        Of one of its instances, before it was de-identified.

    Returns
    -------
    str or None
        A sentence, or None if no face was found. A head that was de-faced well shows none; one
        that was skull-stripped may be warned of for nothing.
    """
    if volume.modality not in ("", "CT", "MR", "PT"):
        return None
    header = header if header is not None else Dataset()
    told = [word for word in _TOLD_BY if _HEAD.search(str(header.get(word) or ""))]
    skin = front_skin(volume)
    if not skin.shows_face and not (
        told and skin.height >= _LEAST_HEIGHT / 2 and skin.area >= _LEAST_AREA / 2
    ):
        return None
    says = f"its {told[0]} names the head, and " if told else ""
    return (
        f"The face could be rendered from this scan: {says}{skin.height:.0f} mm of its axial "
        f"slices have the size of a head, with {skin.area / 100:.0f} cm² of surface to the front. "
        "De-identification leaves voxels as they are; de-face it before sharing if that matters."
    )


def front_skin(volume: Volume) -> Skin:
    """Measure the surface of a head-sized body that looks to the front of the patient."""
    body, step = _in_patient_axes(volume)
    if min(body.shape) < 8 or not body.any():
        return Skin(0.0, 0.0)
    depth_step, width_step = step[1], step[2]
    depths = np.array([_extent(one.any(axis=1)) for one in body]) * depth_step
    widths = np.array([_extent(one.any(axis=0)) for one in body]) * width_step
    heads = (
        (_WIDTHS[0] <= widths)
        & (widths <= _WIDTHS[1])
        & (_DEPTHS[0] <= depths)
        & (depths <= _DEPTHS[1])
        & (widths <= 1.15 * depths)
    )
    # The first tissue of each ray from the front; that of the first plane is cut off by the view.
    first = np.argmax(body, axis=1)
    seen = body.any(axis=1) & (first >= 2) & heads[:, None]
    # A ray that grazes the side of the head shows no face: the front half only.
    middle = np.array([_middle(one.any(axis=1)) for one in body])
    seen &= first < middle[:, None]
    return Skin(float(heads.sum() * step[0]), float(seen.sum() * step[0] * width_step))


def _in_patient_axes(volume: Volume) -> tuple[BoolArray, tuple[float, float, float]]:
    """Return the body as (up, back, left), some 3 mm a step, and the steps in mm."""
    direction = np.array(volume.direction).reshape(3, 3)  # columns: axes x, y, z of the image
    spacing = np.array(volume.spacing)
    # Which axis of the image runs along left, posterior and superior the most.
    order = [0, 0, 0]
    free = [0, 1, 2]
    for axis in (2, 1, 0):
        along = np.abs(direction[axis])
        order[axis] = free[int(np.argmax(along[free]))]
        free.remove(order[axis])
    values = volume.voxels
    factors = [max(1, round(_GRID / spacing[one])) for one in range(3)]
    values = values[:: factors[2], :: factors[1], :: factors[0]]
    slope, intercept = (
        part[:: factors[2], None, None] for part in (volume.slope, volume.intercept)
    )
    rescaled = values * slope + intercept
    body = _body(rescaled, volume.modality)
    image_axes = [2 - order[axis] for axis in (2, 1, 0)]  # arrays are z, y, x
    body = body.transpose(image_axes)
    for place, axis in enumerate((2, 1, 0)):
        if direction[axis, order[axis]] < 0:
            body = np.flip(body, place)
    steps = [float(spacing[order[axis]] * factors[order[axis]]) for axis in (2, 1, 0)]
    return body, (steps[0], steps[1], steps[2])


def _body(values: npt.NDArray[np.float64], modality: str) -> BoolArray:
    values = np.nan_to_num(values)
    if modality == "CT" or values.min() < -900:
        tissue = values > _SKIN_HU
    else:
        tissue = values > _otsu(values)
    # Thin bridges to couch and coil are cut first.
    parts, count = ndimage.label(ndimage.binary_opening(tissue))
    if count == 0:
        return np.zeros(values.shape, bool)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(parts == sizes.argmax())


def _otsu(values: npt.NDArray[np.float64]) -> float:
    from skimage.filters import threshold_otsu

    # Bright fat would make air of brain: half of the threshold is still far above noise.
    low = float(values.min())
    clipped = np.minimum(values, np.percentile(values, 99))
    if clipped.min() == clipped.max():
        return low
    threshold = float(threshold_otsu(clipped))  # type: ignore[no-untyped-call]
    return low + 0.5 * (threshold - low)


def _extent(line: BoolArray) -> int:
    found = np.flatnonzero(line)
    return int(found[-1] - found[0] + 1) if found.size else 0


def _middle(line: BoolArray) -> float:
    found = np.flatnonzero(line)
    return float(found[0] + found[-1]) / 2 if found.size else 0.0
