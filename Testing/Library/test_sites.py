"""Where bits lie follows from the key, and from nothing that a copy may lose."""

from __future__ import annotations

import numpy as np
import pytest

from MedWatermarkLib.sites import MESSAGE, PILOT, PLAIN, ROLE_SHARE, TAG, Sites


@pytest.fixture(scope="module")
def where() -> Sites:
    return Sites(b"key")


def test_every_four_by_four_blocks_hold_the_roles_in_their_shares(where: Sites) -> None:
    roles = where.roles(*np.mgrid[8:12, 20:24])
    for role in (PILOT, TAG, MESSAGE, PLAIN):
        assert (roles == role).sum() == 16 * ROLE_SHARE[role]


def test_blocks_of_a_role_have_ranks_of_their_own(where: Sites) -> None:
    by, bx = np.mgrid[:64, :64]
    for role in (PILOT, TAG, MESSAGE, PLAIN):
        chosen = where.roles(by, bx) == role
        ranks = where.ranks(by[chosen], bx[chosen])
        assert np.array_equal(np.sort(ranks), np.arange(chosen.sum()))


def test_all_blocks_have_ranks_of_their_own_too(where: Sites) -> None:
    ranks = where.ranks_of_all(*np.mgrid[:64, :64])
    assert np.array_equal(np.sort(ranks.ravel()), np.arange(64 * 64))


def test_no_two_pilots_of_a_large_slice_share_their_bits(where: Sites) -> None:
    by, bx = np.mgrid[:256, :256]
    chosen = where.roles(by, bx) == PILOT
    ranks = where.ranks(by[chosen], bx[chosen])
    assert np.array_equal(where.pilot_bits(ranks), where.pilots[:, ranks])
    assert len(np.unique(ranks)) == ranks.size


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
        [3, 3, 2, 2],
        [1, 1, 3, 3],
        [1, 2, 0, 2],
        [1, 1, 3, 3],
    ]
    assert public.ranks_of_all(*np.mgrid[:4, :4]).tolist() == [
        [13, 12, 6, 7],
        [3, 1, 15, 10],
        [4, 8, 0, 9],
        [5, 2, 14, 11],
    ]
    assert public.order(512)[0][:8].tolist() == [421, 125, 33, 471, 50, 458, 54, 172]
    assert np.packbits(public.order(512)[1][:64]).tobytes().hex() == "ea015813ea3b88ab"
