import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep import arithmetic, gsm8k
from reward_score import SCORERS, UnknownDataSourceError, check_data_sources, compute_score


def test_every_data_set_made_here_has_a_scorer():
    check_data_sources([arithmetic.DATA_SOURCE, gsm8k.DATA_SOURCE])


def test_called_as_verl_calls_it():
    result = compute_score(
        data_source="openai/gsm8k",
        solution_str="#### 18",
        ground_truth="18",
        extra_info={"index": 0, "num_turns": None, "rollout_reward_scores": {}},
        format_weight=0.1,
    )
    assert result == {"score": pytest.approx(1.1), "acc": 1.0, "format": 1.0}


@pytest.mark.parametrize(
    ("response", "expected"), [("42", 1.0), (" 42\n", 1.0), ("43", 0.0), ("42 or 43", 0.0), ("", 0.0)]
)
def test_arithmetic_is_scored_by_its_own_scorer(response, expected):
    assert compute_score("arithmetic", response, "42") == {"score": expected, "acc": expected}


def test_verls_loader_finds_it():
    from verl.utils.import_utils import load_extern_object

    loaded = load_extern_object("pkg://reward_score", "compute_score")
    assert loaded(data_source="arithmetic", solution_str="3", ground_truth="3")["score"] == 1.0


def test_an_option_that_the_scorer_does_not_know_is_refused():
    with pytest.raises(TypeError, match="format_weight"):
        compute_score("arithmetic", "42", "42", format_weight=0.1)


@given(st.text().filter(lambda name: name not in SCORERS))
def test_an_unknown_data_source_is_refused_with_the_known_ones(name):
    with pytest.raises(UnknownDataSourceError) as caught:
        compute_score(name, "42", "42")
    assert repr(name) in str(caught.value)
    for known in SCORERS:
        assert repr(known) in str(caught.value)


def test_check_names_all_that_are_unknown():
    check_data_sources([])
    check_data_sources(SCORERS)
    with pytest.raises(UnknownDataSourceError, match="'math', 'wiki'; known") as caught:
        check_data_sources(["wiki", "arithmetic", "math", "wiki"])
    assert isinstance(caught.value, ValueError)
