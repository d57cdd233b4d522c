import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_score import gsm8k
from reward_score.gsm8k import TAIL
from tests.full_data import FULL_DATA, SAMPLES, needs
from tests.reward_score.verdict_alone import verdict_alone

score = verdict_alone(gsm8k.score)

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data_prep" / "samples" / "gsm8k"
LABELLED = SAMPLES / "grading" / "gsm8k_openai_solutions.jsonl"


def read(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def truth_of(row: dict) -> str:
    return row["answer"].split("####")[1].strip().replace(",", "")


@pytest.mark.parametrize("method", ["flexible", "strict"])
@pytest.mark.parametrize(
    "file",
    [
        SAMPLE / "train.jsonl",
        SAMPLE / "test.jsonl",
        SAMPLES / "gsm8k_signs.jsonl",
        pytest.param(FULL_DATA / "gsm8k" / "train.jsonl", marks=needs("gsm8k/train.jsonl")),
        pytest.param(FULL_DATA / "gsm8k" / "test.jsonl", marks=needs("gsm8k/test.jsonl")),
    ],
    ids=["sample-train", "sample-test", "signs", "full-train", "full-test"],
)
def test_every_reference_answer_is_right(file, method):
    rows = read(file)
    assert rows
    for row in rows:
        assert score(row["answer"], truth_of(row), method=method) == {"score": 1.0, "acc": 1.0, "format": 1.0}, row


def test_the_answer_of_another_problem_is_wrong():
    rows = read(SAMPLE / "train.jsonl")
    pairs = [(one, other) for one in rows for other in rows if truth_of(one) != truth_of(other)]
    assert len(pairs) > 10_000
    assert not any(score(one["answer"], truth_of(other))["acc"] for one, other in pairs)


def test_agreement_with_labelled_solutions():
    rows = read(LABELLED)
    wrong = [row for row in rows if row["label"] == 0]
    right = [row for row in rows if row["label"] == 1]
    assert (len(wrong), len(right)) == (58, 22)
    assert sum(score(row["pred"], row["gold"])["acc"] for row in wrong) == 0
    assert sum(score(row["pred"], row["gold"])["acc"] for row in right) == len(right)
    # They end in "A: 26", without ####, which strict never accepts.
    assert not any(score(row["pred"], row["gold"], method="strict")["acc"] for row in rows)


@pytest.mark.parametrize(
    "line",
    [
        "18",
        "18.",
        "18.00",
        "$18",
        "$18.00",
        "18%",
        "18 dollars",
        "+18",
        "**18**",
        "$18$",
        r"\$18",
        "018",
        "1.8e1",
        "36/2",
    ],
)
def test_spellings_of_the_same_number(line):
    for response in (f"So it is 18.\n#### {line}", f"####{line}", f"#### 7\nNo, wait.\n#### {line}\n\n"):
        assert score(response, "18", method="strict") == {"score": 1.0, "acc": 1.0, "format": 1.0}


@pytest.mark.parametrize(
    ("line", "truth"),
    [
        ("1,250", "1250"),
        ("$1,250.00", "1250"),
        ("1250", "1,250"),
        ("-5", "-5"),
        ("−5", "-5"),
        ("-$5", "-5"),
        (".5", "0.5"),
    ],
)
def test_commas_signs_and_fractions(line, truth):
    assert score(f"#### {line}", truth, method="strict")["acc"] == 1.0


@pytest.mark.parametrize(
    "line",
    [
        "18 or 19",
        "19 or 18",
        "18,19",
        "18 19",
        "17+1",
        "±18",
        "-18",
        "180",
        "1.8",
        "18.01",
        "1,8",
        "18/1/2",
        "x18",
        "18e1",
        "",
    ],
)
@pytest.mark.parametrize("method", ["flexible", "strict"])
def test_hedges_and_other_numbers_are_wrong(line, method):
    assert score(f"#### {line}", "18", method=method)["acc"] == 0.0


def test_only_the_last_marker_counts():
    assert score("#### 18\n#### 19", "18")["acc"] == 0.0
    assert score("#### 19\n#### 18", "18")["acc"] == 1.0


def test_without_marker_flexible_takes_the_last_number_and_strict_none():
    response = "She has 20 eggs, sells 2, so the answer is 18."
    assert score(response, "18") == {"score": 1.0, "acc": 1.0, "format": 0.0}
    assert score(response, "18", method="strict") == {"score": 0.0, "acc": 0.0, "format": 0.0}
    assert score(response, "20")["acc"] == 0.0
    assert score("10-5", "5")["acc"] == 1.0
    assert score("10-5", "-5")["acc"] == 0.0


def test_a_heading_is_not_an_answer():
    assert score("#### Step 4: conclusion\nThe answer is 18.", "18") == {"score": 1.0, "acc": 1.0, "format": 0.0}


def test_format_weight_is_added_for_form_alone():
    assert score("#### 18", "18", format_weight=0.1)["score"] == pytest.approx(1.1)
    assert score("#### 19", "18", format_weight=0.1) == {"score": 0.1, "acc": 0.0, "format": 1.0}
    assert score("it is 18", "18", format_weight=0.1)["score"] == 1.0


@pytest.mark.parametrize(
    "response", ["<think>maybe #### 18</think> I do not know.", "<think>#### 18", "<think>18</think>"]
)
def test_a_number_in_the_thoughts_is_no_answer(response):
    assert score(response, "18") == {"score": 0.0, "acc": 0.0, "format": 0.0}
    assert score(f"{response}</think>#### 18", "18")["acc"] == 1.0


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="method='loose'"):
        score("#### 18", "18", method="loose")


@pytest.mark.parametrize("truth", ["", "many", "1 or 2", "nan", "1/0", "9" * 10_000])
def test_a_truth_that_is_no_number_matches_nothing(truth):
    assert score(f"#### {truth}", truth)["acc"] == 0.0


def test_the_cut_does_not_make_a_number():
    digits = "1" * (TAIL + 5)
    assert score(digits, digits[-TAIL:]) == {"score": 0.0, "acc": 0.0, "format": 0.0}
    assert score("#### 18" + " " * TAIL, "18")["acc"] == 1.0  # the marker counts wherever it stands
    assert score("x" * 100_000 + "\n#### 18", "18")["acc"] == 1.0


@given(st.text(), st.text(), st.sampled_from(["flexible", "strict"]))
def test_any_text_gets_a_score(response, truth, method):
    result = score(response, truth, method=method)
    assert set(result) == {"score", "acc", "format"}
    assert set(result.values()) <= {0.0, 1.0}


@given(st.text(alphabet="0123456789#.,$-+/eE%()\\ \n×−", max_size=200), st.integers(-50, 50))
@settings(max_examples=500)
def test_number_like_text_gets_a_score_and_strict_implies_flexible(response, truth):
    strict, flexible = (score(response, str(truth), method=method) for method in ("strict", "flexible"))
    assert strict["acc"] <= min(flexible["acc"], strict["format"])


@given(
    st.integers(-(10**9), 10**9).filter(bool),
    st.integers(-(10**9), 10**9),
    st.sampled_from(["", "$"]),
    st.sampled_from(["", ".", ".0", ".00", "%", " eggs"]),
)
def test_numbers_are_compared_by_value(answer, truth, prefix, suffix):
    sign = "-" if answer < 0 else ""
    line = f"#### {sign}{prefix}{abs(answer):,}{suffix}"
    assert score(line, str(answer))["acc"] == 1.0
    assert score(line, str(truth))["acc"] == float(answer == truth)


@given(st.decimals(-1000, 1000, places=3), st.decimals(-1000, 1000, places=3))
def test_decimals_are_compared_exactly(answer, truth):
    assert score(f"#### {answer:f}", f"{truth:f}")["acc"] == float(Fraction(answer) == Fraction(truth))


@pytest.mark.parametrize(
    "text",
    [
        "9" * 10**6,
        "#" * 10**6,
        "#### " * 10**5,
        "1," * 10**6,
        "1/" * 10**6,
        "-" * 10**6,
        "#### " + "1e999 " * 160,
        "$" * 999,
    ],
    ids=lambda text: text[:8],
)
def test_time_is_bounded_on_hostile_text(text, cpu_seconds):
    with cpu_seconds(0.5):
        score(text, "18")


def test_the_package_imports_nothing_heavy():
    code = "import sys, reward_score; print([m for m in ('torch', 'numpy', 'pyarrow', 'verl') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.stdout.strip() == "[]", result.stderr
