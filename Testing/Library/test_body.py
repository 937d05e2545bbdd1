"""The mark stays within the patient."""

from __future__ import annotations

import numpy as np
from phantoms import head
from scipy import ndimage

from MedWatermarkLib.blocks import Blocks, working_copy
from MedWatermarkLib.volume import Volume


def body_of(voxels: np.ndarray) -> np.ndarray:
    """The blocks of the body, as a mask of voxels."""
    blocks = Blocks(working_copy(voxels)).body()
    return blocks.repeat(8, axis=1).repeat(8, axis=2)


def ellipse(size: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    return (x / 0.88) ** 2 + (y / 0.95) ** 2 < radius**2


def test_the_body_is_what_is_inside_the_skin() -> None:
    body = body_of(head(3, 256, 256).astype(np.int16))[1]
    assert not body[~ellipse(256, 1)].any()
    assert body[ellipse(256, 0.85)].mean() > 0.95


def test_units_do_not_matter() -> None:
    voxels = head(3, 256, 256)
    expected = body_of(voxels.astype(np.int16))
    assert np.array_equal(body_of((voxels + 1024).clip(0).astype(np.uint16)), expected)
    assert np.array_equal(body_of((voxels / 4096).astype(np.float32)), expected)


def test_gas_within_the_patient_belongs_to_it_and_a_notch_does_not() -> None:
    voxels = head(2, 256, 256)
    noise = np.random.default_rng(0).normal(0, 20, voxels.shape).round()
    lung = ellipse(256, 0.4)
    voxels[:, lung] = -800 + noise[:, lung]
    notch = np.zeros((256, 256), bool)
    notch[200:, 120:134] = True
    voxels[:, notch] = -1000 + noise[:, notch] / 10
    body = body_of(voxels.astype(np.int16))[1]
    assert body[ellipse(256, 0.3)].all()
    assert not body[notch].any()


def test_padding_and_the_couch_are_left_out() -> None:
    voxels = head(3, 256, 256)
    voxels[:, :, :24] = -2000
    voxels[:, 252:, 30:226] = 250 + np.arange(196) % 7
    body = body_of(voxels.astype(np.int16))
    assert not body[:, :, :24].any()
    assert not body[:, 248:].any()
    assert body.any()


def test_an_image_filled_by_the_patient_is_body_throughout() -> None:
    voxels = np.random.default_rng(0).normal(1000, 60, (1, 128, 128)).astype(np.int16)
    voxels[:, 60:90, 60:90] += 400
    # The two blocks with the least and the greatest voxel may have been clipped.
    assert body_of(voxels).mean() > 0.98


def test_ct_head_ge_is_marked_nowhere_in_the_air_around_the_head(ct_head_ge: Volume) -> None:
    body = body_of(ct_head_ge.voxels)
    for layer, marked in zip(ct_head_ge.voxels, body, strict=True):
        air, _ = ndimage.label(layer < -500)
        rim = np.unique(np.concatenate([air[0], air[-1], air[:, 0], air[:, -1]]))
        assert not marked[np.isin(air, rim[rim > 0])].any()


def test_air_of_one_value_is_air() -> None:
    noisy = head(3, 256, 256)
    outside = noisy < -500
    for offset in (0, 1024):
        masked = (np.where(outside, -1024, noisy) + offset).astype(np.int16)
        assert not (body_of(masked) & outside).any()
        assert body_of(masked).sum() > 0.95 * body_of(noisy.astype(np.int16)).sum()
