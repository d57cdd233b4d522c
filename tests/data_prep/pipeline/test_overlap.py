import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_prep.pipeline import overlap
from data_prep.pipeline.overlap import NEARLY_ALL, HeldOut, digest, ngrams, repeated

SAMPLES = Path(__file__).resolve().parents[3] / "data_prep" / "samples"
WORDS = st.lists(st.text(alphabet="ab1$é漢", min_size=1, max_size=4), max_size=8)
SPACES = st.sampled_from([" ", "  ", "\n", "\t", "\r\n", "\u00a0", " \n "])
LONG = (
    "A farmer plants 12 rows of 30 apple trees and 8 rows of 25 pear trees on the hill behind his house. In the first "
    "year every apple tree gives 20 kilograms of fruit, and every pear tree gives half as much. How many kilograms of "
    "fruit does the farmer harvest in that year if he loses 100 kilograms to the birds and gives nothing away?"
)
OTHER = (
    "Compute the sum of all positive integers n for which the quotient of n squared plus eleven divided by n plus one "
    "is itself an integer, and write the result as a product of primes in increasing order of their size."
)
ASY = "[asy] draw((0,0)--(10,0)--(10,10)--(0,10)--cycle); label(A,(0,0),SW); label(B,(10,0),SE); dot((5,5)); [/asy]"


def held_out(*questions: str) -> HeldOut:
    return HeldOut((f"test row {number + 1}", question, ()) for number, question in enumerate(questions))


def questions_of(name: str, split: str, column: str) -> list[str]:
    lines = (SAMPLES / name / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)[column] for line in lines]


def naive_repeated(digests: list[int]) -> list[tuple[int, int]]:
    first: dict[int, int] = {}
    seen = [(position, first.setdefault(each, position)) for position, each in enumerate(digests)]
    return [(position, original) for position, original in seen if position != original]


@given(words=WORDS, gaps=st.lists(SPACES, min_size=9, max_size=9), before=SPACES, behind=SPACES)
def test_a_digest_ignores_how_much_white_space_there_is(words, gaps, before, behind):
    spread = before + "".join(word + gap for word, gap in zip(words, gaps, strict=False)) + behind
    assert digest(spread) == digest(" ".join(words))


@given(one=WORDS, other=WORDS)
def test_a_digest_ignores_nothing_else(one, other):
    assert (digest(" ".join(one)) == digest(" ".join(other))) == (one == other)


def test_letters_case_and_missing_spaces_make_a_digest_another():
    assert len({digest(text) for text in ("Find x.", "find x.", "Findx.", "Find x", "Find y.")}) == 5


def test_a_digest_fits_a_signed_number_of_64_bits():
    assert all(0 <= digest(str(number)) < 2**63 for number in range(1000))


def test_images_belong_to_a_prompt_in_their_order():
    alike = {digest("Find x."), *(digest("Find x.", each) for each in ([b"1"], [b"2"], [b"1", b"2"], [b"2", b"1"]))}
    assert len(alike) == 5
    assert digest("Find  x.", [b"1", b"2"]) == digest("Find x.", (b"1", b"2"))


@given(
    files=st.lists(
        st.lists(st.one_of(st.integers(0, 12), st.integers(0, 2**63 - 1)), max_size=12), min_size=0, max_size=5
    ),
    at_once=st.integers(1, 9),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_repeated_rows_are_those_that_a_dictionary_finds(tmp_path, files, at_once):
    paths = [tmp_path / str(number) for number in range(len(files))]
    for path, digests in zip(paths, files, strict=True):
        np.array(digests, "<i8").tofile(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "DIGESTS_AT_ONCE", at_once)
        again, first = repeated(paths)
    expected = naive_repeated([each for digests in files for each in digests])
    assert list(zip(again.tolist(), first.tolist(), strict=True)) == expected
    assert (again.dtype, first.dtype) == (np.int64, np.int64)


def test_a_file_of_one_prompt_over_and_over_is_no_special_case(tmp_path, monkeypatch):
    """Such a file leaves all but one class of digests empty."""
    monkeypatch.setattr(overlap, "DIGESTS_AT_ONCE", 100)
    np.full(1000, digest("Find x."), "<i8").tofile(tmp_path / "digests")
    again, first = repeated([tmp_path / "digests"])
    assert again.tolist() == list(range(1, 1000))
    assert first.tolist() == [0] * 999


def test_no_files_and_empty_files_have_no_repeated_rows(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    for files in ([], [tmp_path / "empty"], [tmp_path / "empty"] * 3):
        again, first = repeated(files)
        assert (again.tolist(), first.tolist()) == ([], [])


def test_the_same_problem_is_found_whatever_its_white_space():
    problems = held_out(OTHER, LONG)
    assert problems.same(LONG.replace(" ", "\n  "), ()) == "test row 2"
    assert problems.same(LONG + " Why?", ()) is None
    assert problems.names == ["test row 1", "test row 2"]


def test_of_equal_held_out_problems_the_first_is_named():
    assert held_out(LONG, LONG).same(LONG, ()) == "test row 1"
    assert held_out(LONG, LONG).nearly(LONG)[0] == "test row 1"


def test_a_problem_with_images_is_the_same_only_with_the_same_images():
    problems = HeldOut([("test row 1", "<image>Find x.", (b"triangle",))])
    assert problems.same("<image>Find x.", (b"triangle",)) == "test row 1"
    assert problems.same("<image>Find x.", (b"circle",)) is None
    assert problems.same("<image>Find x.", ()) is None
    assert problems.nearly("<image>Find x.") is None


def test_a_number_changed_in_a_long_problem_is_nearly_the_same():
    name, share = held_out(OTHER, LONG).nearly(LONG.replace("100", "150"))
    assert name == "test row 2"
    assert NEARLY_ALL <= share < 1


def test_case_spacing_and_an_added_sentence_are_nearly_the_same():
    for question in (LONG.upper(), LONG.replace(" ", "\n"), f"Read carefully. {LONG} Answer with a number."):
        assert held_out(LONG).nearly(question) == ("test row 1", 1.0)


def test_an_unrelated_problem_or_half_of_one_is_not():
    problems = held_out(LONG)
    assert problems.nearly(OTHER) is None
    assert problems.nearly(LONG[: len(LONG) // 2]) is None
    assert problems.nearly("") is None


def test_a_short_problem_is_nearly_the_same_only_as_a_whole():
    problems = held_out("What is 2 + 2?")
    assert problems.nearly("what is  2+2 ?") == ("test row 1", 1.0)
    assert problems.nearly("What is 2 + 3?") is None


def test_drawings_do_not_count():
    """Two problems of MATH about the same square share hundreds of words of drawing code."""
    assert held_out(f"{LONG} {ASY}").nearly(f"{OTHER} {ASY}") is None
    assert held_out(f"{LONG} {ASY}").nearly(LONG) == ("test row 1", 1.0)
    assert held_out(ASY).nearly(ASY) is None
    assert ngrams(ASY) == ngrams("") == set()


def test_a_preamble_that_all_held_out_problems_have_does_not_count():
    def puzzle(number: int) -> str:
        return f"{LONG} The {number}th of them said: my name is number {number} and I have {number} brothers in town."

    problems = held_out(*map(puzzle, range(overlap.COMMON + 5)))
    assert problems.nearly(puzzle(99)) is None
    assert problems.nearly(puzzle(7)) == ("test row 8", 1.0)


@given(
    problems=st.lists(st.lists(st.sampled_from("abcd"), max_size=7).map(" ".join), max_size=6),
    question=st.lists(st.sampled_from("abcd"), max_size=12).map(" ".join),
)
def test_nearly_is_the_largest_share_of_runs_that_few_problems_have(problems, question):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "NGRAM", 2)
        patch.setattr(overlap, "COMMON", 2)
        runs = [ngrams(problem) for problem in problems]
        rare = [{run for run in own if sum(run in other for other in runs) <= 2} for own in runs]
        shares = [len(own & ngrams(question)) / len(own) if own else 0.0 for own in rare]
        best = max(shares, default=0.0)
        expected = (f"test row {shares.index(best) + 1}", best) if best >= NEARLY_ALL else None
        assert held_out(*problems).nearly(question) == expected


@pytest.mark.parametrize(("name", "column"), [("gsm8k", "question"), ("math", "problem")])
def test_real_problems_are_found_in_their_own_split_and_not_in_the_other(name, column):
    train, test = (questions_of(name, split, column) for split in ("train", "test"))
    problems = held_out(*test)
    assert [problems.same(question, ()) for question in test] == problems.names
    assert [problems.same(question, ()) for question in train] == [None] * len(train)
    assert [problems.nearly(question) for question in train] == [None] * len(train)
