"""Slices say which number they had, and so what became of their order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from attacks import noisy, windowed
from hypothesis import assume, given
from hypothesis import strategies as st
from phantoms import anatomy

from MedWatermarkLib.order import Order
from MedWatermarkLib.tables import reading_facts, reading_rows
from MedWatermarkLib.watermark import embed, extract

MESSAGE = b"MW:A SHORT MESSAGE FOR SOME SLICES."
DEPTH = 11


@pytest.fixture(scope="module")
def original() -> np.ndarray:
    return anatomy(DEPTH)


@pytest.fixture(scope="module")
def marked(original: np.ndarray) -> np.ndarray:
    return embed(original, MESSAGE).voxels


@pytest.mark.parametrize(
    ("slices", "words"),
    [
        (range(2, DEPTH), "begun at slice 3 (or 19, 35, …)"),
        ([5], "begun at slice 6 (or 22, 38, …)"),
        (range(DEPTH)[::-1], "put in reversed order"),
        ([0, 1, 2, 4, 5, 8, 9], "changed in its slices, some missing or moved before 4, 6"),
        (range(0, DEPTH, 2), "changed in its slices, some missing or moved before 2, 3, 4, 5, 6"),
        ([7, 2, 9, 4, 0, 8, 3, 6, 1, 10, 5], "put in another order"),
    ],
    ids=["later", "one", "reversed", "dropped", "every second", "shuffled"],
)
def test_what_became_of_the_order_is_told(
    marked: np.ndarray, slices: Sequence[int], words: str
) -> None:
    extracted = extract(marked[list(slices)])
    assert [one.phase for one in extracted.slices] == [z % 16 for z in slices]
    assert extracted.undone is not None
    assert extracted.undone.slices is None
    assert str(extracted.undone) == words
    assert dict(reading_rows(extracted))["Was"] == f"{words}; undone to read it"
    assert reading_facts(extracted)["undone"]["order"]["start"] == slices[0] % 16


def test_of_slices_as_they_were_marked_nothing_is_told(marked: np.ndarray) -> None:
    for copy in (marked, marked[:3]):
        extracted = extract(copy)
        assert extracted.undone is None
        assert reading_facts(extracted)["slices"][1]["phase"] == 1


def test_an_order_is_told_beside_a_window_and_where_tags_do_not_read_alone(
    marked: np.ndarray,
) -> None:
    undone = extract(windowed(marked[::-1], 40, 400)).undone
    assert undone is not None
    assert undone.order == Order(10, True, (), False)
    assert undone.gain == pytest.approx(255 / 400, rel=0.01)
    faint = extract(noisy(marked[3:], 11))
    assert not all(one.tag for one in faint.slices)
    assert [one.phase for one in faint.slices] == [z % 16 for z in range(3, DEPTH)]


def test_with_the_original_slices_say_their_number_too(
    original: np.ndarray, marked: np.ndarray
) -> None:
    extracted = extract(marked[[9, 2]], reference=original)
    assert extracted.undone is not None
    assert extracted.undone.slices == ((9,), (2,))
    assert [one.phase for one in extracted.slices] == [9, 2]


def test_slices_that_say_nothing_say_nothing_of_the_order() -> None:
    assert Order.of([]) is None
    assert Order.of([None, None]) is None
    assert Order.of([None, 1, None, 3]) is None


@given(
    first=st.integers(0, 100),
    depth=st.integers(1, 40),
    unknown=st.sets(st.integers(0, 39)),
    backwards=st.booleans(),
)
def test_neighbours_in_order_have_no_breaks_wherever_they_begin(
    first: int, depth: int, unknown: set[int], backwards: bool
) -> None:
    numbers = list(range(first, first + depth))[:: -1 if backwards else 1]
    phases = [None if z in unknown else n % 16 for z, n in enumerate(numbers)]
    # Of two slices eight apart nobody knows which way they count.
    known = [z for z, phase in enumerate(phases) if phase is not None]
    assume(any((b - a) % 8 for a, b in itertools.pairwise(known)))
    order = Order.of(phases)
    assert order == (
        Order(numbers[0] % 16, backwards, (), False) if backwards or first % 16 else None
    )


@given(depth=st.integers(8, 40), gap=st.integers(1, 15), data=st.data())
def test_a_gap_is_told_where_it_is(depth: int, gap: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(2, depth - 2))
    numbers = [*range(at), *range(at + gap, depth + gap)]
    assert Order.of([n % 16 for n in numbers]) == Order(0, False, (at,), False)
