import re
from collections import Counter
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.pipeline.length_picture import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, draw
from data_prep.pipeline.manifest import histogram
from data_prep.pipeline.prompt_lengths import summary

SVG = "{http://www.w3.org/2000/svg}"
LENGTHS = st.dictionaries(st.integers(1, 200_000), st.integers(1, 1000), min_size=1, max_size=30)


def measured(lengths: Counter[int]) -> dict:
    return summary(lengths) | {"histogram": histogram(lengths)}


def outlines(picture: str) -> list[list[tuple[float, float]]]:
    """Return the corners of each split's area."""
    found = []
    for path in ElementTree.fromstring(picture).iter(f"{SVG}path"):
        if path.get("fill-opacity"):
            x, y = map(float, re.match(r"M(\S+) (\S+?)(?=V)", path.get("d")).groups())
            corners = [(x, y)]
            for direction, value in re.findall(r"([VH])([\d.]+)", path.get("d")):
                x, y = (float(value), y) if direction == "H" else (x, float(value))
                corners.append((x, y))
            found.append(corners)
    return found


@given(st.dictionaries(st.sampled_from(["train", "test", "aime24", "aime25", "extra"]), LENGTHS, min_size=1))
def test_any_lengths_make_a_well_formed_picture_within_its_frame(splits):
    picture = draw({name: measured(Counter(lengths)) for name, lengths in splits.items()}, "tokens")
    assert picture == draw({name: measured(Counter(lengths)) for name, lengths in splits.items()}, "tokens")
    areas = outlines(picture)
    assert len(areas) == len(splits)
    for corners in areas:
        assert all(LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT - BOTTOM for x, y in corners)
        assert corners[0][1] == corners[-1][1] == HEIGHT - BOTTOM
        assert corners[0][0] <= corners[-1][0]
    assert min(y for corners in areas for _, y in corners) == TOP


@pytest.mark.parametrize("lengths", [{7: 1000}, {1: 1}, {0: 5}, {100: 1, 101: 1}])
def test_one_or_two_lengths_are_a_picture_as_well(lengths):
    (corners,) = outlines(draw({"train": measured(Counter(lengths))}, "tokens"))
    assert corners[-1][0] - corners[0][0] > 1


def test_splits_of_different_sizes_and_intervals_have_equal_areas():
    splits = {"train": measured(Counter(range(100, 1100))), "test": measured(Counter({200: 3, 230: 4, 260: 2}))}
    areas = [
        sum((HEIGHT - BOTTOM - y) * (after - x) for (x, y), (after, _) in zip(corners, corners[1:], strict=False))
        for corners in outlines(draw(splits, "tokens"))
    ]
    assert areas[0] == pytest.approx(areas[1], rel=0.05)


def test_every_split_is_named_with_its_rows():
    bins = measured(Counter({5: 1234, 9: 1}))
    texts = [
        each.text for each in ElementTree.fromstring(draw({"train": bins, "test": bins}, "tokens")).iter(f"{SVG}text")
    ]
    assert {"train: 1,235 prompts, 99 % up to 5", "test: 1,235 prompts, 99 % up to 5"} <= set(texts)
    assert any(text.startswith("prompt length in tokens") for text in texts)


def test_names_with_marks_of_xml_are_shown_as_they_are():
    picture = draw({"a<b & c>": measured(Counter({5: 2}))}, "tokens")
    assert "a<b & c>: 2 prompts, 99 % up to 5" in [
        each.text for each in ElementTree.fromstring(picture).iter(f"{SVG}text")
    ]


@pytest.mark.parametrize("longest", [1, 2, 9, 99, 1000, 12_345, 10**6, 10**9])
def test_the_axis_has_a_few_round_numbers(longest):
    texts = [
        each.text
        for each in ElementTree.fromstring(draw({"x": measured(Counter([longest]))}, "tokens")).iter(f"{SVG}text")
    ]
    ticks = [int(text.replace(",", "")) for text in texts if re.fullmatch(r"[\d,]+", text)]
    assert 2 <= len(ticks) <= 8
    assert ticks[0] == 0
    assert ticks[-1] <= longest * 1.08 + 1
    assert {str(tick).rstrip("0") for tick in ticks[1:2]} <= {"1", "2", "5"}
