"""How a picture lies on slices of the original: found coarsely by correlation, then registered.

First every scale, angle and place on small images, by correlation in the frequency domain; then
SimpleITK's registration of an affine transform on the images themselves (B. C. Lowekamp and
others, "The design of SimpleITK", Frontiers in Neuroinformatics 7, 2013, 45).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft
import SimpleITK
from scipy import ndimage

from MedWatermarkLib.placement import warped

# Longer side of the original's images on which poses are searched, and then registered, and side
# of the canvas on which the first are compared.
_SMALL, _MIDDLE, _CANVAS = 48, 128, 96
# How much larger a suspect may be than the original, and angles in degrees.
_SCALES = 0.46 * 1.12 ** np.arange(15)
_ANGLES = np.arange(0, 360, 7.5)
# Slices of the original that are compared first.
_SLICES = 7
# Poses that are registered, and of these again, each time to the slice that fits best.
_KEPT = (14, 4)
# How much smaller or larger, turned, or further along two poses have to be to count as two.
_APART, _SLICES_APART = 0.08, 0.05
# Share of a picture's range that rows and columns of a frame do not exceed.
_PLAIN = 0.1
# Pixels that a registration looks at.
_SAMPLES = 60_000

sitk: Any = SimpleITK

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Images = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Pose:
    """How a picture lies on a slice.

    Attributes
    ----------
    score : float
        Correlation, up to 1.
    z : int
        The slice.
    view : int
        The number of the view of the original, such as a display window, that was compared.
    matrix : (2, 2) float64 array
    offset : (2,) float64 array
        A pixel (y, x) of the picture lies at ``matrix @ (y, x) + offset`` of the slice.
    """

    score: float
    z: int
    view: int
    matrix: FloatArray
    offset: FloatArray


def find_poses(picture: Floats, views: list[Images]) -> list[Pose]:
    """Look for a picture in a volume.

    Parameters
    ----------
    picture : (h, w) float32 array
    views : list of (z, y, x) float32 arrays
        The volume as it may look in the picture, of which some is shown.

    Returns
    -------
    The likeliest poses, best first.
    """
    start, picture = _unframed(picture)
    side = max(views[0].shape[1:])
    images = np.stack([_small(view, side / _MIDDLE) for view in views])
    rough = _rough_poses(picture, images, side)
    poses = rough
    for kept in _KEPT:
        poses = [_registered(picture, images, side / _MIDDLE, pose) for pose in poses[:kept]]
        poses.sort(key=lambda pose: -pose.score)
    poses = [replace(pose, offset=pose.offset - pose.matrix @ start) for pose in poses]
    return poses


def _unframed(picture: Floats) -> tuple[FloatArray, Floats]:
    """Return a picture without margins that show nothing, and where it begins."""
    least = _PLAIN * float(np.ptp(picture))
    rows, columns = (np.flatnonzero(np.ptp(picture, axis) > least) for axis in (1, 0))
    if min(len(rows), len(columns)) < _SMALL:
        return np.zeros(2), picture
    start = np.array([rows[0], columns[0]], np.float64)
    return start, picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _rough_poses(picture: Floats, images: Images, side: int) -> list[Pose]:
    depth = images.shape[1]
    some = np.unique(np.linspace(0.1 * depth, 0.9 * depth, _SLICES).astype(int))
    stack = np.stack([_small(view[some], _MIDDLE / _SMALL) for view in images])
    spectra = np.conj(scipy.fft.rfft2(_normal(stack), s=(_CANVAS, _CANVAS), workers=-1))
    shrink = side / _SMALL
    poses: list[Pose] = []
    for scale in _SCALES:
        blurred = ndimage.gaussian_filter(picture, 0.4 * shrink * scale)
        for mirrored in (False, True):
            for angle in _ANGLES:
                turn = _linear(angle, mirrored) * shrink * scale
                pose = _best_place(blurred, turn, spectra, shrink)
                poses.append(replace(pose, z=int(some[pose.z])))
    poses.sort(key=lambda pose: -pose.score)
    chosen: list[Pose] = []
    for pose in poses:
        if all(_apart(pose, other, depth) for other in chosen):
            chosen.append(pose)
        if len(chosen) == _KEPT[0]:
            break
    return chosen


def _apart(one: Pose, other: Pose, depth: int) -> bool:
    size = float(np.abs(other.matrix).max())
    turned = float(np.abs(one.matrix - other.matrix).max()) > _APART * size
    return turned or abs(one.z - other.z) > _SLICES_APART * depth


def _registered(picture: Floats, images: Images, shrink: float, pose: Pose) -> Pose:
    """Register a pose on small images to the slice that fits best."""
    scale = 1 / np.sqrt(abs(np.linalg.det(pose.matrix)))
    own = max(1.0, shrink * scale)
    small = _small(picture[np.newaxis], own)[0]
    # The middle of pixel i lies at `size * i + (size - 1) / 2` of an image with pixels of a size.
    matrix = pose.matrix * own / shrink
    start = (pose.matrix @ np.full(2, (own - 1) / 2) + pose.offset - (shrink - 1) / 2) / shrink
    pose = _best_slice(small, images, replace(pose, matrix=matrix, offset=start))
    pose = register(small, images[pose.view, pose.z], pose)
    matrix = pose.matrix * shrink / own
    start = shrink * pose.offset + (shrink - 1) / 2 - matrix @ np.full(2, (own - 1) / 2)
    return replace(pose, matrix=matrix, offset=start)


def _best_slice(picture: Floats, images: Images, pose: Pose) -> Pose:
    """Return the pose on the slice that resembles the picture most."""
    inverse = np.linalg.inv(pose.matrix)
    shape = images.shape[2:]
    moved = warped(picture, inverse, -inverse @ pose.offset, shape, outside=np.nan)
    inside = np.isfinite(moved)
    if not inside.any():
        return pose
    scores = _normal(images[..., inside], -1) @ _normal(moved[inside], -1)
    view, z = np.unravel_index(int(scores.argmax()), scores.shape)
    return replace(pose, score=float(scores.max()), view=int(view), z=int(z))


def _best_place(
    picture: Floats, turn: FloatArray, spectra: npt.NDArray[Any], shrink: float
) -> Pose:
    """Return the best slice and place at one scale and angle."""
    middle = (np.array(picture.shape) - 1) / 2
    centre = np.full(2, (_CANVAS - 1) / 2)
    shift = middle - turn @ centre
    shape = (_CANVAS, _CANVAS)
    canvas = warped(picture, turn, shift, shape, outside=np.nan)
    inside = np.isfinite(canvas)
    if inside.any():
        canvas -= canvas[inside].mean()
    canvas[~inside] = 0
    norm = float(np.linalg.norm(canvas))
    if norm == 0:
        return Pose(0.0, 0, 0, np.eye(2), np.zeros(2))
    seen = scipy.fft.rfft2(canvas / norm, workers=-1)
    found = scipy.fft.irfft2(seen * spectra, s=shape, workers=-1)
    view, number, dy, dx = np.unravel_index(int(found.argmax()), found.shape)
    # The canvas at (dy, dx) is the small slice's origin.
    moved = np.array([d if d < _CANVAS / 2 + _SMALL / 2 else d - _CANVAS for d in (dy, dx)])
    # small = canvas - moved, and picture = turn @ canvas + shift.
    inverse = np.asarray(np.linalg.inv(turn), np.float64)
    half = (shrink - 1) / 2
    return Pose(
        float(found.max()),
        int(number),
        int(view),
        inverse * shrink,
        shrink * (-inverse @ shift - moved) + half,
    )


def register(picture: Floats, host: Floats, pose: Pose) -> Pose:
    """Register a picture to a slice that is shown alike.

    Parameters
    ----------
    picture : (h, w) float32 array
    host : (y, x) float32 array
        The slice, with the picture's grey values.
    pose : Pose
        Where to begin.
    """
    fixed, moving = (sitk.GetImageFromArray(np.ascontiguousarray(i)) for i in (picture, host))
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetInterpolator(sitk.sitkLinear)
    if picture.size > _SAMPLES:
        method.SetMetricSamplingStrategy(method.REGULAR)
        method.SetMetricSamplingPercentage(_SAMPLES / picture.size)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0,
        minStep=1e-4,
        numberOfIterations=100,
        gradientMagnitudeTolerance=1e-9,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    transform = sitk.AffineTransform(2)
    transform.SetCenter(((np.array(picture.shape) - 1) / 2)[::-1].tolist())
    # ITK's axes are x and y.
    matrix = pose.matrix[::-1, ::-1]
    transform.SetMatrix(matrix.ravel().tolist())
    centre = np.array(transform.GetCenter())
    transform.SetTranslation((matrix @ centre + pose.offset[::-1] - centre).tolist())
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:
        # Images that do not overlap any more.
        return pose
    matrix = np.array(transform.GetMatrix()).reshape(2, 2)
    offset = np.array(transform.TransformPoint((0.0, 0.0)))
    return Pose(
        -method.GetMetricValue(), pose.z, pose.view, matrix[::-1, ::-1].copy(), offset[::-1].copy()
    )


def _linear(angle: float, mirrored: bool) -> FloatArray:
    radians = np.radians(angle)
    cosine, sine = np.cos(radians), np.sin(radians)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return turn @ np.diag([1.0, -1.0]) if mirrored else turn


def _small(images: Images, shrink: float) -> Images:
    """Return images smaller by a factor, each pixel about the mean of those it stands for."""
    blurred = ndimage.gaussian_filter(images, (0, 0.4 * shrink, 0.4 * shrink))
    sizes = tuple(max(1, int(size / shrink)) for size in images.shape[1:])
    start = np.full(2, (shrink - 1) / 2)
    return np.stack([warped(image, shrink * np.eye(2), start, sizes) for image in blurred])


def _normal(images: npt.NDArray[Any], axes: Any = (-2, -1)) -> npt.NDArray[Any]:
    centred = images - images.mean(axis=axes, keepdims=True)
    length = np.linalg.norm(centred, axis=axes, keepdims=True)
    return np.asarray(centred / np.maximum(length, 1e-9))
