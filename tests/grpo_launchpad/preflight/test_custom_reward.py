"""A reward of the user's own is looked at before it is paid for; nothing of it is run."""

import pytest

from grpo_launchpad.preflight.compose import compose
from grpo_launchpad.preflight.custom_reward import check_custom_reward

FUNCTION = "reward.custom_reward_function"


def problems(path, *overrides: str) -> list[str]:
    return [str(each) for each in check_custom_reward(compose([f"{FUNCTION}.path='{path}'", *overrides]))]


@pytest.fixture
def file(tmp_path):
    def write(text: str):
        path = tmp_path / "my reward.py"
        path.write_text(text)
        return path

    return write


GOOD = [
    "def compute_score(data_source, solution_str, ground_truth, extra_info=None): return 0.0",
    "async def compute_score(data_source, solution_str, ground_truth, extra_info): return 0.0",
    "def compute_score(solution_str, ground_truth, **others): return 0.0",
    "def compute_score(*, data_source, solution_str, ground_truth, extra_info, mine=1): return 0.0",
    "from elsewhere import compute_score",
    "compute_score = lambda **options: 0.0",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_verl_can_call_is_accepted_without_being_run(file, text):
    assert problems(file(f"raise SystemExit(3)\n{text}\n")) == []


BAD = {
    "def compute_score(completions, answer): return 0.0": "does not take data_source",
    "def compute_score(data_source, solution_str, ground_truth): return 0.0": "does not take extra_info",
    "def score(**options): return 0.0": "has no function compute_score; it has score",
    "def compute_score(:": "is no Python",
    "def compute_score(data_source, solution_str, ground_truth, extra_info, weight): return 0.0": "needs weight",
}


@pytest.mark.parametrize("text", BAD)
def test_what_verl_cannot_call_is_refused(file, text):
    (problem,) = problems(file(text))
    assert BAD[text] in problem


def test_a_missing_file_is_named():
    (problem,) = problems("/nope/reward.py")
    assert "/nope/reward.py is no file" in problem


def test_the_composition_of_a_launcher_is_not_forced_on_it(file):
    path = file("def compute_score(data_source, solution_str, ground_truth, extra_info): return 0.0")
    (problem,) = problems(path, f"++{FUNCTION}.reward_kwargs.rewards=correctness")
    assert f"add '~{FUNCTION}.reward_kwargs.rewards'" in problem


def test_another_name_and_options_of_its_own_are_taken(file):
    path = file("def mine(data_source, solution_str, ground_truth, extra_info, weight): return 0.0")
    assert problems(path, f"{FUNCTION}.name=mine", f"+{FUNCTION}.reward_kwargs.weight=2") == []
