import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep import arithmetic, gsm8k
from reward_score import SCORERS, UnknownDataSourceError, check_data_sources
from reward_score.data_sources import TASKS, scorer_of, truth_in
from tests.reward_score.verdict_alone import verdict_alone

ROOT = Path(__file__).resolve().parents[2]
VERLS = [
    "openai/gsm8k",
    "lighteval/MATH",
    "DigitalLearningGmbH/MATH-lighteval",
    "HuggingFaceH4/MATH-500",
    "math_dapo",
    "math",
    "math_dapo_reasoning",
    "numina_aops_forum",
    "numina_synthetic_math",
    "numina_amc_aime",
    "numina_synthetic_amc",
    "numina_cn_k12",
    "numina_olympiads",
    "hiyouga/geometry3k",
    "searchR1_nq",
    "searchR1_triviaqa",
    "searchR1_popqa",
    "searchR1_hotpotqa",
    "searchR1_2wikimultihopqa",
    "searchR1_musique",
    "searchR1_bamboogle",
]


def test_every_data_set_made_here_has_a_scorer():
    check_data_sources(
        split.data_source for data_set in (arithmetic.DATA_SET, gsm8k.DATA_SET) for split in data_set.splits
    )


@pytest.mark.parametrize("name", VERLS)
def test_data_sources_are_called_as_in_verl(name):
    from verl.utils import reward_score

    check_data_sources([name])
    assert f'"{name}"' in inspect.getsource(reward_score.default_compute_score)


@pytest.mark.parametrize("task", TASKS)
def test_a_task_scores_score_acc_and_format(task):
    source = next(source for source, name in SCORERS.items() if name == task)
    try:
        scorer = scorer_of(source)
    except ModuleNotFoundError as error:
        pytest.skip(str(error))
    options = {"execute": True} if task == "code_tests" else {}
    result = scorer("no answer", TASKS[task].example, **options)
    assert {"score", "acc", "format"} <= set(result) <= {"score", "acc", "format", "scorer_error", "pred"}
    assert result["acc"] == 0.0


@given(st.text().filter(lambda name: name not in SCORERS))
def test_an_unknown_data_source_is_refused(name):
    with pytest.raises(UnknownDataSourceError) as caught:
        scorer_of(name)
    assert repr(name)[:100] in str(caught.value)
    assert "docs/en/rewards.md" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "known"), [("gsm8k", "openai/gsm8k"), ("Countdown", "countdown"), ("aime26", "aime2")]
)
def test_the_nearest_known_data_source_is_named(name, known):
    with pytest.raises(UnknownDataSourceError, match=f"'{name}' .did you mean '{known}") as caught:
        scorer_of(name)
    assert "searchR1_nq" not in str(caught.value)


@pytest.mark.parametrize("name", [None, 3, ["openai/gsm8k"], {}, b"countdown"])
def test_a_data_source_that_is_no_text_is_an_unknown_one(name):
    for function in (scorer_of, lambda source: check_data_sources([source])):
        with pytest.raises(UnknownDataSourceError, match="no scorer for data_source"):
            function(name)
    assert truth_in(name, "#### 18") == "#### 18"


def test_check_names_all_that_are_unknown():
    check_data_sources([])
    check_data_sources(SCORERS)
    with pytest.raises(UnknownDataSourceError, match="data_source 'moon', 'wiki';") as caught:
        check_data_sources(["wiki", "arithmetic", "moon", "wiki"])
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("data_source", "value", "truth"),
    [
        ("openai/gsm8k", "5 + 13 = <<5+13=18>>18\n#### 18", "18"),
        ("openai/gsm8k", "18", "18"),
        ("openai/gsm8k", 18, 18),
        ("lighteval/MATH", "#### 18", "#### 18"),
        ("somewhere/else", "#### 18", "#### 18"),
    ],
)
def test_the_truth_in_a_whole_solution(data_source, value, truth):
    assert truth_in(data_source, value) == truth


def test_arithmetic_says_whether_the_answer_is_digits_alone():
    score = verdict_alone(scorer_of("arithmetic"))
    assert score(" 42\n", "42") == {"score": 1.0, "acc": 1.0, "format": 1.0}
    assert score("43", "42") == {"score": 0.0, "acc": 0.0, "format": 1.0}
    for response in ("", "42 or 43", "-42", "٤٢", "4²"):
        assert score(response, "42") == {"score": 0.0, "acc": 0.0, "format": 0.0}


@pytest.mark.parametrize(
    ("summary", "score", "acc", "form"),
    [("x" * 50, 0.0, 1.0, 1.0), ("x" * 45, -5.0, 1.0, 1.0), ("x" * 56, -6.0, 0.0, 1.0), ("", -50.0, 0.0, 0.0)],
)
def test_a_summary_is_judged_by_its_length(summary, score, acc, form):
    assert scorer_of("mlabonne/smoltldr")(summary, None) == {"score": score, "acc": acc, "format": form}
    assert scorer_of("mlabonne/smoltldr")("one\ntwo")["format"] == 0.0


def test_the_package_imports_at_once():
    """Little but itself: what it imports is counted, since seconds are the machine's."""
    code = (
        "import sys; before = set(sys.modules); import reward_score; new = set(sys.modules) - before; print(len(new));"
        "print(sorted({'torch', 'sympy', 'numpy', 'pyarrow', 'verl', 'yaml', 'asyncio', 'rich'} & new))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    modules, heavy = done.stdout.splitlines()
    assert heavy == "[]"
    assert int(modules) < 100
