"""A copy that leaked tells for whom it was made, and nobody who had no part in it is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from attacks import jpeg, noisy, turned, windowed
from hypothesis import given, settings
from hypothesis import strategies as st
from phantoms import anatomy
from PIL import Image
from typer.testing import CliRunner

from MedWatermarkLib.blocks import WatermarkError
from MedWatermarkLib.cli import app
from MedWatermarkLib.copy_words import CopyWords
from MedWatermarkLib.imageio import write_volume
from MedWatermarkLib.modulation import tag_word
from MedWatermarkLib.tag import Tag, message_id
from MedWatermarkLib.trace import GREATEST_CHANCE, Trace, trace
from MedWatermarkLib.volume import Volume
from MedWatermarkLib.watermark import embed

KEY = b"the owner's"
MESSAGE = b"MW:A SHORT MESSAGE FOR SOME SLICES."
COPIES = (3, 4, 70_000)
ISSUED = [*range(200), 70_000]


@pytest.fixture(scope="module")
def original() -> np.ndarray:
    return anatomy(4)


@pytest.fixture(scope="module")
def copies(original: np.ndarray) -> dict[int, np.ndarray]:
    return {n: embed(original, MESSAGE, key=KEY, copy=n).voxels for n in COPIES}


def named(traced: Trace) -> set[int]:
    assert traced.chance < GREATEST_CHANCE
    return {one.copy for one in traced.copies}


@pytest.mark.parametrize("known", [None, ISSUED], ids=["without a list", "with a list"])
def test_a_copy_is_named_blind_and_with_the_original(
    original: np.ndarray, copies: dict[int, np.ndarray], known: list[int] | None
) -> None:
    for reference in (None, original):
        traced = trace(copies[4][1:], key=KEY, copies=known, reference=reference)
        assert named(traced) == {4}
        assert traced.mixture is None
        assert traced.copies[0].read
        assert traced.copies[0].slices == (0, 1, 2)
        assert traced.copies[0].issued == (None if known is None else True)
        assert traced.sentence == "The suspect was made from copy 4."


def test_a_picture_of_one_slice_names_its_copy(
    original: np.ndarray, copies: dict[int, np.ndarray]
) -> None:
    turned = Image.fromarray(windowed(copies[70_000][2:3], 40, 160)[0])
    turned = turned.rotate(7, Image.Resampling.BICUBIC, expand=True)
    traced = trace(np.asarray(turned)[np.newaxis], key=KEY, copies=ISSUED, reference=original)
    assert named(traced) == {70_000}


def test_a_copy_that_was_turned_is_named_blind_and_without_a_list(
    copies: dict[int, np.ndarray],
) -> None:
    traced = trace(turned(copies[4], 5), key=KEY)
    assert named(traced) == {4}
    assert traced.copies[0].read
    # Several slices say it, each by itself.
    assert traced.copies[0].chance < 1e-10
    one = trace(turned(copies[70_000][:1], 5, grows=False), key=KEY)
    assert named(one) <= {70_000}
    assert named(one) or one.extracted.message is None


def test_of_slices_from_several_copies_each_is_named_with_its_slices(
    copies: dict[int, np.ndarray],
) -> None:
    suspect = np.stack([copies[3][0], copies[4][1], copies[3][2], copies[70_000][3]])
    traced = trace(suspect, key=KEY)
    assert {one.copy: one.slices for one in traced.copies} == {3: (0, 2), 4: (1,), 70_000: (3,)}
    assert traced.mixture == "slices"
    assert "put together" in traced.sentence
    assert traced.chance < GREATEST_CHANCE


def test_of_averaged_copies_each_is_named(
    original: np.ndarray, copies: dict[int, np.ndarray]
) -> None:
    pair = (copies[3].astype(np.float32) + copies[4]) / 2
    three = (copies[3].astype(np.float32) + copies[4] + copies[70_000]) / 3
    for suspect, reference, who in (
        (np.rint(pair).astype(np.int16), None, {3, 4}),
        (jpeg(pair, 40, 400, 40), original, {3, 4}),
        (noisy(pair, 8), original, {3, 4}),
        (three, original, set(COPIES)),
    ):
        assert not trace(suspect, key=KEY, copies=ISSUED, reference=reference).copies
        traced = trace(suspect, key=KEY, copies=ISSUED, message=MESSAGE, reference=reference)
        assert named(traced) == who
        assert traced.mixture == "averaged"
        assert "averaged" in traced.sentence
        assert all(one.share < 0.9 for one in traced.copies)


def test_a_copy_too_faint_to_read_is_recognised_by_its_message(
    original: np.ndarray, copies: dict[int, np.ndarray]
) -> None:
    suspect = noisy(copies[4], 32)
    alone = trace(suspect, key=KEY, reference=original)
    assert not alone.copies
    known = trace(suspect, key=KEY, copies=ISSUED, message=MESSAGE, reference=original)
    assert named(known) == {4}
    assert not known.copies[0].read


def test_whoever_is_not_in_it_is_not_named(
    original: np.ndarray, copies: dict[int, np.ndarray]
) -> None:
    others = [n for n in range(1000) if n not in COPIES]
    pair = (copies[3].astype(np.float32) + copies[4]) / 2
    for suspect, key in (
        (original, KEY),
        (copies[4], b"another"),
        (np.zeros((1, 64, 64)), KEY),
    ):
        traced = trace(suspect, key=key, copies=ISSUED, message=MESSAGE, reference=original)
        assert not traced.copies
        assert traced.chance == 0
        assert "no copy is named" in traced.sentence or "was not shown" in traced.sentence
    for suspect in (copies[4], noisy(copies[4], 32), noisy(copies[4], 18), noisy(pair, 8), pair):
        traced = trace(suspect, key=KEY, copies=others, message=MESSAGE, reference=original)
        assert named(traced) <= {3, 4}
        assert all(one.issued is False for one in traced.copies)


def test_a_number_that_is_none_is_refused(copies: dict[int, np.ndarray]) -> None:
    with pytest.raises(WatermarkError, match="copy number"):
        trace(copies[3], key=KEY, copies=[2**24])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), strength=st.floats(0, 3), message=st.binary(max_size=9))
def test_the_bound_holds_for_copies_that_have_no_part(
    seed: int, strength: float, message: bytes
) -> None:
    rng = np.random.default_rng(seed)
    numbers = np.unique(np.append(rng.integers(0, 2**24, 60), range(60))).tolist()
    guilty = numbers[seed % len(numbers)]
    tag = Tag(message_id(message), 0, 201, 1)
    word = tag_word(Tag(tag.message_id, guilty, 201, 1)) * 2.0 - 1
    words = CopyWords(tag, numbers)
    bounds = []
    for _ in range(5):
        evidence = rng.gamma(4, 0.25, len(word)) * strength * word + rng.normal(size=len(word))
        shown = words.shown(evidence)
        bounds += [bound for copy, _, bound in shown if copy != guilty]
        if strength > 1:
            copy, share, bound = min(shown, key=lambda one: one[2])
            assert copy == guilty
            assert bound < 1e-12
            assert share > 0.4
            assert words.leads(guilty, evidence)
    # Of 600 innocents that were looked at, the few that agree best were asked about.
    assert min(bounds) > 1e-3 / 600


def test_a_copy_is_not_named_where_a_similar_number_that_is_not_listed_agrees_better() -> None:
    tag = Tag(message_id(b"m"), 0, 201, 1)
    evidence = tag_word(Tag(tag.message_id, 4, 201, 1)) * 2.0 - 1
    assert not CopyWords(tag, [5, 6]).leads(5, evidence)
    assert CopyWords(tag, [4, 5]).leads(4, evidence)


def test_the_command_names_the_recipient(
    original: np.ndarray, copies: dict[int, np.ndarray], tmp_path: Path
) -> None:
    leak = np.concatenate([copies[3][:2], copies[4][2:]])
    for name, voxels in (("leak", leak), ("scan", original)):
        write_volume(Volume(voxels), tmp_path / f"{name}.nrrd")
    (tmp_path / "copies.csv").write_text("# who has which\n3, St. Elsewhere\n4\n70000, Insurer\n")

    def run(*arguments: object) -> tuple[int, str]:
        environment = {"MEDWATERMARK_MARK_KEY": KEY.decode()}
        result = CliRunner().invoke(app, [str(a) for a in arguments], env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert KEY.decode() not in result.output
        return result.exit_code, result.stdout

    arguments = ["trace", tmp_path / "leak.nrrd", "--copies", tmp_path / "copies.csv"]
    code, text = run(*arguments, "--json")
    result = json.loads(text.splitlines()[-1])
    assert code == 0
    assert {(one["copy"], one["name"]) for one in result["named"]} == {
        (3, "St. Elsewhere"),
        (4, None),
    }
    assert result["mixture"] == "slices"
    assert 0 < result["chance"] < 1e-6
    code, text = run(*arguments, "--reference", tmp_path / "scan.nrrd")
    assert code == 0
    assert "St. Elsewhere" in text
    assert "put together" in text
    code, text = run("trace", tmp_path / "scan.nrrd", "--copies", "3,4")
    assert code == 3
    assert "no copy is named" in text or "not shown" in text
    for wrong in ("three", "3,-1", str(2**24), ","):
        assert run("trace", tmp_path / "leak.nrrd", "--copies", wrong)[0] == 1
    assert run("trace", tmp_path / "leak.nrrd", "--claim", "no claim")[0] == 1
