"""Tests of the tiles of a scan, their root and their file."""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MedWatermarkLib.imageio import read_volume, write_volume
from MedWatermarkLib.merkle import holds, leaf_hash
from MedWatermarkLib.tiles import TILE, TileLeaves, TileLeavesError, matches_root, tile_leaves
from MedWatermarkLib.volume import Volume

ANGLE = (1.0, 0.0, 0.0, 0.0, 0.8, -0.6, 0.0, 0.6, 0.8)
VECTOR_ROOT_OF_FRACTIONS = "cdc559d1562f568deecf35039ca17af38da51bdbc8340cd7bbc65082c7ef82e9"
VECTOR_ROOT = "244315069c2b42da99906c259c512e6523ce9fbb14eb285b70c98c4fb8cd6f3c"


def small(voxels: np.ndarray | None = None) -> Volume:
    """The scan of the vectors in Docs/formats.md."""
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4) if voxels is None else voxels
    return Volume(
        values,
        spacing=(0.5, 0.75, 2.5),
        origin=(-10, 20.125, -30.5),
        direction=ANGLE,
        slope=np.array([1.0, 2.0]),
        intercept=np.array([-1024.0, 0.0]),
    )


def test_the_leaves_are_those_of_the_page_of_formats() -> None:
    leaves = tile_leaves(small())
    first = np.arange(12, dtype="<i2") - 1024
    second = np.arange(12, 24, dtype="<i2") * 2
    digests = [hashlib.sha256(b"<i2" + one.tobytes()).digest() for one in (first, second)]
    geometry = [500, 750, 2500, -10000, 20125, -30500]
    geometry += [10000, 0, 0, 0, 8000, -6000, 0, 6000, 8000]
    form = np.array([2, 3, 4, *geometry], "<i8").tobytes()
    hashes = [leaf_hash(0, b"MedWatermark tiles 1\0" + form)]
    hashes += [leaf_hash(index + 1, one) for index, one in enumerate(digests)]
    pair = hashlib.sha256(b"\1" + hashes[0] + hashes[1]).digest()
    other = hashlib.sha256(b"\1" + hashes[2] + bytes(32)).digest()
    assert leaves.root == hashlib.sha256(b"\1" + pair + other).digest()
    assert leaves.root.hex() == VECTOR_ROOT
    assert len(leaves.to_bytes()) == 216
    assert leaves.to_bytes()[-4:].hex() == "fe413bf1"
    fractions = replace(small(), slope=np.array([0.5, 2.0]))
    assert tile_leaves(fractions).root.hex() == VECTOR_ROOT_OF_FRACTIONS


def test_fractions_are_hashed_as_float64() -> None:
    values = np.array([[[0.5, -0.0, np.nan, np.inf]]])
    digest = tile_leaves(Volume(values)).digests[0, 0, 0].tobytes()
    canonical = np.array([0.5, 0.0, np.nan, np.inf], "<f8")
    assert canonical.view("<u8")[2] == 0x7FF8000000000000
    assert digest == hashlib.sha256(b"<f8" + canonical.tobytes()).digest()


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint16", "uint32", "float32", "float64"])
def test_dtypes_that_hold_the_same_values_have_one_root(dtype: str, ct_phantom: Volume) -> None:
    shifted = ct_phantom.with_voxels(ct_phantom.voxels + np.int16(1024))
    same = shifted.with_voxels(shifted.voxels.astype(dtype))
    assert tile_leaves(same).root == tile_leaves(shifted).root


@pytest.mark.parametrize("values", [[40_000, -7], [-(2**31), 3], [2**32 - 1, 0]])
def test_integers_beyond_16_bits_have_one_root_in_any_dtype(values: list[int]) -> None:
    exact = Volume(np.array(values, np.float64).reshape(1, 1, -1))
    dtype = np.uint32 if min(values) >= 0 else np.int32
    integers = Volume(np.array(values, dtype).reshape(1, 1, -1))
    assert tile_leaves(integers).root == tile_leaves(exact).root


def test_stored_and_rescaled_values_have_one_root() -> None:
    volume = small()
    assert tile_leaves(volume.as_rescaled()).root == tile_leaves(volume).root


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.nii.gz", "scan.mha"])
def test_the_file_format_does_not_change_the_root(
    name: str, ct_phantom: Volume, tmp_path: Path
) -> None:
    write_volume(ct_phantom, tmp_path / name)
    assert matches_root(read_volume(tmp_path / name), tile_leaves(ct_phantom).root)


def test_a_dicom_series_and_its_nrrd_have_one_root(make_series, tmp_path: Path) -> None:
    def rescale(instance, index: int) -> None:
        instance.RescaleSlope, instance.RescaleIntercept = 2, -1000 - index

    series = read_volume(make_series(edit=rescale))
    write_volume(series, tmp_path / "scan.nrrd")
    assert matches_root(read_volume(tmp_path / "scan.nrrd"), tile_leaves(series).root)


def test_a_geometry_on_a_rounding_edge_matches_from_either_side(ct_phantom: Volume) -> None:
    edge = 250.0 + (0.5 - 1 / 73) / 1000
    below, above = (replace(ct_phantom, origin=(edge + error, 0, 0)) for error in (-2e-5, 2e-5))
    assert tile_leaves(below).root != tile_leaves(above).root
    assert matches_root(above, tile_leaves(below).root)


def test_another_geometry_or_voxel_does_not_match(ct_phantom: Volume) -> None:
    root = tile_leaves(ct_phantom).root
    other = ct_phantom.voxels.copy()
    other[-1, -1, -1] += 1
    assert not matches_root(ct_phantom.with_voxels(other), root)
    assert not matches_root(replace(ct_phantom, spacing=(1.9, 1.9, 5.01)), root)


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 140), st.integers(1, 140)),
    place=st.tuples(st.floats(0, 0.999), st.floats(0, 0.999), st.floats(0, 0.999)),
)
@settings(max_examples=40, deadline=None)
def test_one_voxel_changes_its_tile_and_no_other(
    shape: tuple[int, int, int], place: tuple[float, float, float]
) -> None:
    voxels = np.zeros(shape, np.int16)
    before = tile_leaves(Volume(voxels))
    z, y, x = (int(share * size) for share, size in zip(place, shape, strict=True))
    voxels[z, y, x] = 1
    changed = (tile_leaves(Volume(voxels)).digests != before.digests).any(axis=-1)
    assert np.argwhere(changed).tolist() == [[z, y // TILE, x // TILE]]


def test_a_path_proves_a_tile_to_whoever_knows_the_root(ct_phantom: Volume) -> None:
    leaves = tile_leaves(ct_phantom)
    tiles = leaves.digests.reshape(-1, 32)
    index = 1 + 7
    leaf = leaf_hash(index, tiles[7].tobytes())
    path = leaves.tree.path(index)
    assert holds(leaves.root, 1 + len(tiles), index, leaf, path)
    assert not holds(leaves.root, 1 + len(tiles), index + 1, leaf, path)


def test_the_file_gives_the_leaves_back(ct_phantom: Volume) -> None:
    leaves = tile_leaves(ct_phantom)
    again = TileLeaves.from_bytes(leaves.to_bytes())
    assert again.shape == leaves.shape
    assert again.root == leaves.root
    assert len(leaves.to_bytes()) == 4 + 144 + 32 * leaves.digests[..., 0].size + 4


@given(at=st.integers(0, 10**6), flip=st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_a_damaged_file_is_refused(at: int, flip: int) -> None:
    data = bytearray(tile_leaves(small()).to_bytes())
    data[at % len(data)] ^= flip
    with pytest.raises(TileLeavesError):
        TileLeaves.from_bytes(bytes(data))


@pytest.mark.parametrize("length", [0, 3, 4, 8, 147, 150, 200])
def test_a_file_that_breaks_off_is_refused(length: int) -> None:
    with pytest.raises(TileLeavesError):
        TileLeaves.from_bytes(tile_leaves(small()).to_bytes()[:length])


def test_a_size_that_the_file_cannot_have_is_refused() -> None:
    content = b"MWT1" + struct.pack("<3Q15q", 2**63, 2**63, 2**63, *range(15)) + bytes(64)
    with pytest.raises(TileLeavesError, match="size"):
        TileLeaves.from_bytes(content + zlib.crc32(content).to_bytes(4, "big"))


def test_a_later_version_says_so() -> None:
    data = tile_leaves(small()).to_bytes()
    with pytest.raises(TileLeavesError, match="later"):
        TileLeaves.from_bytes(b"MWT2" + data[4:])


def test_the_root_of_a_real_scan_is_alike_in_stored_and_rescaled_values(
    ct_head_ge: Volume,
) -> None:
    assert tile_leaves(ct_head_ge).root == tile_leaves(ct_head_ge.as_rescaled()).root
