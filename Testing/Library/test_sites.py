"""Where bits lie follows from the key, and from nothing that a copy may lose."""

from __future__ import annotations

import numpy as np
import pytest

from MedWatermarkLib.sites import (
    MESSAGE,
    PHASES,
    PILOT,
    ROLE_SHARE,
    TAG,
    Sites,
    pilot_places,
    places,
)


@pytest.fixture(scope="module")
def where() -> Sites:
    return Sites(b"key")


def test_every_four_by_four_blocks_hold_the_roles_in_their_shares(where: Sites) -> None:
    roles = where.roles(*np.mgrid[8:12, 20:24])
    for role in (PILOT, TAG, MESSAGE):
        assert (roles == role).sum() == 16 * ROLE_SHARE[role]


def test_blocks_of_a_role_have_ranks_of_their_own(where: Sites) -> None:
    by, bx = np.mgrid[:64, :64]
    for role in (PILOT, TAG, MESSAGE):
        chosen = where.roles(by, bx) == role
        ranks = where.ranks(by[chosen], bx[chosen])
        assert np.array_equal(np.sort(ranks), np.arange(chosen.sum()))


def test_a_compact_region_meets_the_bits_of_a_code_word_about_equally(where: Sites) -> None:
    by, bx = np.mgrid[:64, :64]
    body = ((by - 30) ** 2 + (bx - 33) ** 2 < 24**2) & (where.roles(by, bx) == TAG)
    place = places(where.ranks(by[body], bx[body]), 2, 738, 0)
    counts = np.bincount(place.ravel(), minlength=738)
    assert counts.max() - counts.min() <= 3


def test_phases_place_the_same_blocks_elsewhere(where: Sites) -> None:
    ranks = np.arange(100)
    starts = {int(places(ranks, 2, 8058, phase)[0, 0]) for phase in range(PHASES)}
    assert len(starts) == PHASES


def test_no_two_pilots_of_a_large_slice_share_their_bits(where: Sites) -> None:
    by, bx = np.mgrid[:256, :256]
    chosen = where.roles(by, bx) == PILOT
    place = pilot_places(where.ranks(by[chosen], bx[chosen]), 2)
    assert len(np.unique(place)) == place.size


def test_an_order_uses_every_bit_once(where: Sites) -> None:
    order, scramble = where.order(738)
    assert np.array_equal(np.sort(order), np.arange(738))
    assert 0.4 < scramble.mean() < 0.6


def test_another_key_shares_nothing(where: Sites) -> None:
    other = Sites(b"kez")
    assert abs((where.pilots == other.pilots).mean() - 0.5) < 0.01
    assert (where.order(738)[0] == other.order(738)[0]).mean() < 0.05


def test_the_sites_are_those_of_version_2() -> None:
    public = Sites(b"")
    assert np.packbits(public.pilots[0, :64]).tobytes().hex() == "a6493cf29d94505b"
    assert public.roles(*np.mgrid[:4, :4]).tolist() == [
        [2, 2, 2, 2],
        [1, 1, 2, 2],
        [1, 2, 0, 2],
        [1, 1, 2, 2],
    ]
    assert public.order(738)[0][:8].tolist() == [444, 319, 689, 640, 524, 424, 706, 405]
    assert np.packbits(public.order(738)[1][:64]).tobytes().hex() == "49efc2af39e5c242"
