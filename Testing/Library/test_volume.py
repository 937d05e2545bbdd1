import hashlib
import itertools
import math
import struct
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.transform import Rotation

from MedWatermarkLib.volume import ImageHash, Volume, VolumeError, image_hash, matches_hash

SHAPES = arrays.array_shapes(min_dims=3, max_dims=3, max_side=4)
INT16 = arrays.arrays(np.int16, SHAPES)
INTEGER_DTYPES = [np.dtype(kind + size) for kind in "iu" for size in "124"]
ANY_VOXELS = st.sampled_from([*INTEGER_DTYPES, np.dtype("f4"), np.dtype("f8")]).flatmap(
    lambda dtype: arrays.arrays(dtype, SHAPES)
)


@st.composite
def geometries(draw) -> dict[str, tuple[float, ...]]:
    """Spacing, origin and a right- or left-handed oblique direction."""
    spacing = draw(st.tuples(*[st.floats(0.05, 12)] * 3))
    origin = draw(st.tuples(*[st.floats(-2000, 2000)] * 3))
    angles = draw(st.tuples(*[st.floats(-180, 180)] * 3))
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    matrix[:, 2] *= draw(st.sampled_from([1, -1]))
    return {"spacing": spacing, "origin": origin, "direction": tuple(matrix.ravel())}


def tiny_phantom() -> Volume:
    """The volume of the vector in Docs/formats.md."""
    return Volume(
        np.arange(24, dtype=np.int16).reshape(2, 3, 4),
        spacing=(0.5, 0.75, 2.5),
        origin=(-10.0, 20.125, -30.5),
        direction=(1, 0, 0, 0, 0.8, -0.6, 0, 0.6, 0.8),
        slope=np.array([1.0, 2.0]),
        intercept=np.array([-1024.0, 0.0]),
    )


def test_the_hash_of_a_tiny_phantom_is_the_one_in_the_format_page():
    hashed = image_hash(tiny_phantom())
    assert hashed.values.hex() == "abe507648a89089447990b85fc6d80199639a6a35edc8ba8e37090ef3bacd04b"
    assert (
        hashed.geometry.hex() == "d709692adffe2cf5bcbb36b296ba27aec6eae7c524cc08da107b1e9459af31c0"
    )
    assert hashed.digest.hex() == "a5d5a258541117641f80f220c23ae49d86d6917a76963a186ff216ae567d3e0e"


def test_the_hash_of_fractional_values_is_the_one_in_the_format_page():
    hashed = image_hash(replace(tiny_phantom(), slope=np.array([0.5, 2.0])))
    assert hashed.digest.hex() == "30f45a8bdd12649109262bf02d03de718cfcc654608b644ade4b3173e1a6c886"


def test_the_format_page_is_enough_to_compute_the_hash():
    volume = tiny_phantom()
    rescaled = [index - 1024 for index in range(12)] + [2 * index for index in range(12, 24)]
    values = hashlib.sha256(b"<i8" + struct.pack("<24q", *rescaled)).digest()
    steps = [
        math.floor(number * per_unit + 0.5 + 1 / 73)
        for number, per_unit in zip(
            [*volume.spacing, *volume.origin, *volume.direction],
            [1000] * 6 + [10000] * 9,
            strict=True,
        )
    ]
    geometry = hashlib.sha256(struct.pack("<15q", *steps)).digest()
    size = struct.pack("<3Q", 2, 3, 4)
    digest = hashlib.sha256(b"MedWatermark image hash 1\0" + size + values + geometry).digest()
    assert image_hash(volume) == ImageHash(values, geometry, digest)


@given(INT16)
def test_integers_hash_alike_in_every_dtype_that_holds_them(voxels):
    hashes = {
        image_hash(Volume(voxels.astype(dtype))).digest
        for dtype in (np.int16, np.int32, np.float32, np.float64, ">i2")
    }
    assert len(hashes) == 1


@given(INT16, st.integers(-8, 8).filter(bool), st.integers(-3000, 3000))
def test_stored_values_hash_as_the_rescaled_ones_do(voxels, slope, intercept):
    stored = Volume(voxels, slope=np.array([slope]), intercept=np.array([intercept]))
    rescaled = Volume(voxels.astype(np.int32) * slope + intercept)
    assert image_hash(stored) == image_hash(rescaled)


@given(ANY_VOXELS, st.data())
def test_a_volume_of_rescaled_values_hashes_as_its_stored_one(voxels, data):
    number = st.one_of(st.integers(-5, 5), st.floats(-50, 50), st.just(1))
    slices = st.lists(number, min_size=len(voxels), max_size=len(voxels))
    slope = np.array(data.draw(slices.filter(all)), float)
    with np.errstate(all="ignore"):
        stored = Volume(voxels, slope=slope, intercept=np.array(data.draw(slices), float))
        rescaled = stored.as_rescaled()
        assert (rescaled.slope == 1).all()
        assert (rescaled.intercept == 0).all()
        np.testing.assert_array_equal(rescaled.voxels, stored.rescaled())
        assert image_hash(rescaled) == image_hash(stored)


def test_rescaled_values_keep_the_dtype_that_holds_them_or_take_the_least():
    stored = np.array([[[0, 4095]]], np.uint16)
    assert Volume(stored).as_rescaled().voxels.dtype == np.uint16
    ct = Volume(stored, intercept=np.array([-1024.0])).as_rescaled()
    assert ct.voxels.dtype == np.int16
    assert ct.voxels.tolist() == [[[-1024, 3071]]]
    assert Volume(stored, slope=np.array([1e5])).as_rescaled().voxels.dtype == np.int32
    assert Volume(stored, slope=np.array([0.5])).as_rescaled().voxels.dtype == np.float32
    assert Volume(stored + 1, slope=np.array([0.1])).as_rescaled().voxels.dtype == np.float64


def test_reserved_values_are_rescaled_with_the_voxels():
    volume = Volume(
        np.zeros((1, 1, 1), np.int16),
        slope=np.array([-2.0]),
        intercept=np.array([5.0]),
        reserved=((-1500, -1400),),
    )
    assert volume.as_rescaled().reserved == ((2805.0, 3005.0),)


@given(INT16, st.data())
def test_one_voxel_changes_the_hash_of_values_alone(voxels, data):
    changed = voxels.copy()
    place = data.draw(st.integers(0, voxels.size - 1))
    changed.flat[place] ^= 1 << data.draw(st.integers(0, 14))
    before, after = image_hash(Volume(voxels)), image_hash(Volume(changed))
    assert before.values != after.values
    assert before.geometry == after.geometry
    assert before.digest != after.digest


@pytest.mark.parametrize(
    "change",
    [
        {"direction": (-1, 0, 0, 0, 0.8, -0.6, 0, 0.6, 0.8)},
        {"direction": (-1, 0, 0, 0, -0.8, -0.6, 0, -0.6, 0.8)},
        {"spacing": (0.501, 0.75, 2.5)},
        {"spacing": (0.5, 0.75, 2.498)},
        {"origin": (-10.0, 20.125, -30.501)},
        {"origin": (10.0, 20.125, -30.5)},
    ],
)
def test_a_flip_or_a_spacing_by_header_changes_the_hash_of_geometry_alone(change):
    volume = tiny_phantom()
    changed = replace(volume, **change)
    before, after = image_hash(volume), image_hash(changed)
    assert before.values == after.values
    assert before.geometry != after.geometry
    assert before.digest != after.digest
    assert not matches_hash(changed, before.digest)


def test_the_same_bytes_in_another_shape_hash_differently():
    voxels = np.arange(24, dtype=np.int16)
    hashes = {
        image_hash(Volume(voxels.reshape(shape))).digest
        for shape in set(itertools.permutations((2, 3, 4)))
    }
    assert len(hashes) == 6


def test_minus_zero_hashes_as_zero_beside_integers_and_fractions():
    for other in (1.0, 0.5):
        plus = np.array([[[0.0, other]]])
        minus = np.array([[[-0.0, other]]])
        assert image_hash(Volume(plus)) == image_hash(Volume(minus))
        # Where nothing positive is added on the way.
        assert image_hash(Volume(plus)) == image_hash(Volume(minus, intercept=np.array([-0.0])))


def test_every_nan_hashes_alike():
    payload = np.array([[[0x7FF8000000000000, 0xFFF8000000000001]]], np.uint64).view(np.float64)
    assert image_hash(Volume(payload)) == image_hash(Volume(np.full((1, 1, 2), np.nan)))


def test_integral_values_past_the_exact_range_of_float64_hash_as_floats():
    great = Volume(np.array([[[2**30]]], np.int32), slope=np.array([2.0**40]))
    assert image_hash(great) == image_hash(Volume(np.array([[[2.0**70]]])))
    assert image_hash(great) != image_hash(Volume(np.array([[[2.0**71]]])))


@pytest.mark.parametrize("spacing", [0.9375, 0.4375, 0.3125, 1.0005])
def test_the_last_bit_of_a_common_spacing_does_not_change_the_hash(spacing):
    hashes = {
        image_hash(Volume(np.zeros((1, 1, 1)), spacing=(near, 1, 1))).digest
        for near in (np.nextafter(spacing, 0), spacing, np.nextafter(spacing, 2))
    }
    assert len(hashes) == 1


@given(geometries())
def test_a_geometry_that_went_through_float32_matches(geometry):
    voxels = np.zeros((1, 2, 2), np.int16)
    stored = {name: tuple(np.float32(numbers)) for name, numbers in geometry.items()}
    original, read = Volume(voxels, **geometry), Volume(voxels, **stored)
    assert matches_hash(read, image_hash(original).digest)
    assert matches_hash(original, image_hash(read).digest)


@given(geometries(), st.integers(0, 2), st.sampled_from(["spacing", "origin"]))
def test_a_geometry_that_differs_by_hundredths_of_a_millimetre_does_not_match(geometry, axis, name):
    voxels = np.zeros((1, 2, 2), np.int16)
    moved = list(geometry[name])
    moved[axis] += 0.02
    other = Volume(voxels, **{**geometry, name: tuple(moved)})
    assert not matches_hash(other, image_hash(Volume(voxels, **geometry)).digest)


def test_numbers_on_both_sides_of_many_edges_are_all_tried():
    # Just under and just over the edge at 1/2 - 1/73 of a step, in all of the first six numbers.
    edge = 1e-3 * (500 + 0.5 - 1 / 73)
    low, high = (edge - 1e-7,) * 3, (edge + 1e-7,) * 3
    below = Volume(np.zeros((1, 1, 1)), spacing=low, origin=low)
    above = Volume(np.zeros((1, 1, 1)), spacing=high, origin=high)
    assert image_hash(below).digest != image_hash(above).digest
    assert matches_hash(below, image_hash(above).digest)
    assert matches_hash(above, image_hash(below).digest)


@settings(deadline=None, max_examples=20)
@given(ANY_VOXELS)
def test_voxels_become_contiguous_and_of_native_byte_order(voxels):
    volume = Volume(voxels.astype(voxels.dtype.newbyteorder(">")).T)
    assert volume.voxels.flags.c_contiguous
    assert volume.voxels.dtype == voxels.dtype
    np.testing.assert_array_equal(volume.voxels, voxels.T)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"voxels": np.zeros((2, 2), np.int16)}, "shape"),
        ({"voxels": np.zeros((0, 2, 2), np.int16)}, "shape"),
        ({"voxels": np.zeros((1, 2, 2), np.int64)}, "int64"),
        ({"voxels": np.zeros((1, 2, 2), np.float16)}, "float16"),
        ({"voxels": np.zeros((1, 2, 2), complex)}, "complex"),
        ({"spacing": (1, 0, 1)}, "spacing"),
        ({"spacing": (1, 1)}, "spacing"),
        ({"origin": (0, np.nan, 0)}, "origin"),
        ({"direction": (1, 0, 0, 0, 1, 0, 0, 1, 0)}, "direction"),
        ({"direction": (2, 0, 0, 0, 1, 0, 0, 0, 1)}, "direction"),
        ({"slope": np.ones(3)}, "slope"),
        ({"slope": np.zeros(1)}, "slope"),
        ({"intercept": np.array([np.inf])}, "intercept"),
        ({"valid_range": (5, 4)}, "valid range"),
        ({"reserved": ((1, 0),)}, "reserved"),
    ],
)
def test_what_no_scan_can_be_is_refused_in_words(change, complaint):
    with pytest.raises(VolumeError, match=complaint):
        Volume(**{"voxels": np.zeros((1, 2, 2), np.int16), **change})


def test_other_voxels_keep_all_the_rest():
    volume = tiny_phantom()
    other = volume.with_voxels(volume.voxels + 1)
    assert other.slope is not None
    assert image_hash(other).geometry == image_hash(volume).geometry
    np.testing.assert_array_equal(other.intercept, volume.intercept)
    with pytest.raises(VolumeError, match="shape"):
        volume.with_voxels(volume.voxels[:1])


def test_the_repr_does_not_name_the_patient():
    volume = replace(tiny_phantom(), identity={"PatientName": "Grünwald^Ada"})
    assert "Grünwald" not in repr(volume)
    assert "Grünwald" not in str(volume)


def test_a_scan_of_512_x_512_x_140_is_hashed_in_well_under_a_second():
    voxels = np.zeros((140, 512, 512), np.int16)
    volume = Volume(voxels, intercept=np.array([-1024.0]))
    image_hash(volume)
    start = time.perf_counter()
    image_hash(volume)
    # Some 0.2 s on one core with SHA instructions; the bar leaves room for a busy machine.
    assert time.perf_counter() - start < 2
