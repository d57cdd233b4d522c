import inspect
import json
import math
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from reward_score import UnknownDataSourceError, compute_score
from reward_score.trl_reward import reward_functions

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data_prep" / "samples" / "gsm8k" / "test.jsonl"
REWARDS = "correctness:1.0,format:0.2"


def trained(functions, prompts, completions, **columns) -> tuple[dict, dict]:
    """Call the functions as GRPOTrainer._calculate_rewards does; return the rewards by name and the logged metrics."""
    logged = {}
    passed = {
        **columns,
        "trainer_state": object(),
        "log_extra": lambda column, values: None,
        "log_metric": lambda name, value: logged.setdefault(name, []).append(value),
    }
    rewards = {}
    for function in functions:
        assert not inspect.iscoroutinefunction(function.__call__)
        found = function(prompts=prompts, completions=completions, completion_ids=[[0]] * len(prompts), **passed)
        assert len(found) == len(prompts)
        rewards[function.__name__] = found
    return rewards, logged


def chat(text: str) -> list[dict]:
    return [{"role": "assistant", "content": text}]


def test_one_function_a_component_with_its_weight():
    functions, weights = reward_functions(REWARDS, data_source="openai/gsm8k", truth_column="answer")
    assert [function.__name__ for function in functions] == ["correctness", "format"]
    assert weights == [1.0, 0.2]
    completions = ["#### 18", "#### 17", "It is 18."]
    rewards, logged = trained(functions, ["?"] * 3, completions, answer=["18"] * 3, question=["?"] * 3)
    assert rewards == {"correctness": [1.0, 0.0, 1.0], "format": [1.0, 1.0, 0.0]}
    assert logged == {"scorer_error": [0.0, 0.0]}


def test_without_a_composition_it_is_the_tasks_score():
    functions, weights = reward_functions(data_source="openai/gsm8k", format_weight=0.5)
    assert weights == [1.0]
    assert trained(functions, ["?"], ["#### 18"], ground_truth=["18"])[0] == {"task": [1.5]}


def test_gsm8k_as_it_is_published_works():
    rows = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    functions, _ = reward_functions(REWARDS, data_source="openai/gsm8k", truth_column="answer")
    rewards, _ = trained(functions, columns["question"], columns["answer"], **columns)
    assert rewards == {"correctness": [1.0] * len(rows), "format": [1.0] * len(rows)}


def test_verls_columns_work_and_rows_may_belong_to_several_tasks():
    functions, _ = reward_functions("correctness,length(target=3):-0.1")
    rewards, logged = trained(
        functions,
        ["?"] * 3,
        ["#### 18", "18", "17"],
        data_source=["openai/gsm8k", "arithmetic", "arithmetic"],
        reward_model=[{"style": "rule", "ground_truth": "18"}] * 3,
    )
    assert rewards == {"correctness": [1.0, 1.0, 0.0], "length": [4.0, 1.0, 1.0]}
    assert logged["scorer_error"] == [0.0, 0.0]


@pytest.mark.parametrize(
    "completion",
    [
        chat("#### 18"),
        [{"role": "assistant", "content": [{"type": "text", "text": "#### "}, {"type": "text", "text": "18"}]}],
        [
            {"role": "assistant", "content": "#### 17", "tool_calls": [{}]},
            {"role": "tool", "content": "#### 16"},
            {"role": "assistant", "content": "#### 18"},
        ],
    ],
)
def test_a_completion_may_be_a_chat(completion):
    functions, _ = reward_functions("correctness", data_source="openai/gsm8k")
    assert trained(functions, [chat("?")], [completion], ground_truth=["18"])[0] == {"correctness": [1.0]}


@pytest.mark.parametrize("completion", ["", [], [{"role": "assistant", "content": None}], [{"role": "tool"}]])
def test_no_answer_is_a_wrong_answer(completion):
    functions, _ = reward_functions("correctness", data_source="openai/gsm8k")
    rewards, logged = trained(functions, ["?"], [completion], ground_truth=["18"])
    assert rewards == {"correctness": [0.0]}
    assert logged == {"scorer_error": [0.0]}


def test_a_row_without_truth_has_no_verdict():
    rewards = "correctness,cosine_length(max_length=9),correctness_reward_func,length"
    functions, _ = reward_functions(rewards, data_source="openai/gsm8k")
    found, logged = trained(functions, ["?"] * 2, ["#### 18"] * 2, ground_truth=["18", None])
    assert [values[1] for values in found.values()] == [None, None, None, 43.0]
    assert None not in [values[0] for values in found.values()]
    assert set(logged["scorer_error"]) == {0.0}


def test_what_cannot_be_scored_is_0_and_counted():
    functions, _ = reward_functions(REWARDS)
    rewards, logged = trained(
        functions, ["?"] * 2, ["18"] * 2, data_source=["arithmetic", "wiki"], ground_truth=[18] * 2
    )
    assert rewards["correctness"] == [1.0, 0.0]
    assert logged == {"scorer_error": [0.5, 0.5]}


def test_a_task_without_truth_needs_no_column():
    functions, _ = reward_functions("task", data_source="mlabonne/smoltldr")
    assert trained(functions, ["?"], ["x" * 40])[0] == {"task": [-10.0]}


def test_the_batch_is_scored_once(monkeypatch):
    functions, _ = reward_functions("correctness,format,length", data_source="openai/gsm8k")
    composition = functions[0]._scoring._composition
    scored, score = [], composition.score
    monkeypatch.setattr(composition, "score", lambda sample: scored.append(sample) or score(sample))
    trained(functions, ["?"] * 2, ["#### 18"] * 2, ground_truth=["18", "17"])
    assert len(scored) == 2  # and not once for each of the three components
    assert trained(functions, ["?"] * 2, ["#### 17"] * 2, ground_truth=["18", "17"])[0]["correctness"] == [0.0, 1.0]
    same = ["#### 17"]
    assert trained(functions, ["?"], same, ground_truth=["17"])[0]["correctness"] == [1.0]
    assert trained(functions, ["?"], same, ground_truth=["18"])[0]["correctness"] == [0.0]


def test_lists_that_are_changed_in_place_are_scored_again():
    functions, _ = reward_functions("correctness,format")
    completions = [chat("#### 17")]
    columns = {"data_source": ["openai/gsm8k"], "reward_model": [{"ground_truth": "18"}]}
    assert trained(functions, ["?"], completions, **columns)[0] == {"correctness": [0.0], "format": [1.0]}
    completions[0][0]["content"] = "It is 18."
    assert trained(functions, ["?"], completions, **columns)[0] == {"correctness": [1.0], "format": [0.0]}
    columns["reward_model"][0]["ground_truth"] = "19"
    assert trained(functions, ["?"], completions, **columns)[0] == {"correctness": [0.0], "format": [0.0]}
    columns["data_source"][0] = "arithmetic"
    completions[0] = "19"
    assert trained(functions, ["?"], completions, **columns)[0] == {"correctness": [1.0], "format": [1.0]}


def test_truths_may_be_arrays():
    numpy = pytest.importorskip("numpy")
    functions, _ = reward_functions("correctness", data_source="countdown")

    def scored():
        truth = {"target": 98, "numbers": numpy.array([44, 19, 35])}
        return functions[0](["?"], ["<answer>44+19+35</answer>"], reward_model=[{"ground_truth": truth}])

    assert [scored(), scored()] == [[1.0], [1.0]]


def test_a_truth_that_no_component_needs_needs_no_column():
    functions, _ = reward_functions("length(target=3),strict_format", data_source="openai/gsm8k")
    rewards, logged = trained(functions, ["?"], ["#### 18"])
    assert rewards == {"length": [4.0], "strict_format": [0.0]}
    assert logged == {"scorer_error": [0.0, 0.0]}


def test_a_data_source_that_is_no_text_is_an_unknown_one():
    functions, _ = reward_functions("correctness,length(target=2)")
    found, logged = trained(functions, ["?"], ["18"], data_source=[["arithmetic"]], ground_truth=["18"])
    assert found == {"correctness": [0.0], "length": [0.0]}
    assert logged == {"scorer_error": [1.0, 1.0]}


def test_log_metric_is_optional():
    functions, _ = reward_functions("format", data_source="openai/gsm8k")
    assert functions[0](["?"], ["#### 1"], ground_truth=["2"]) == [1.0]


def test_functions_can_be_pickled():
    functions, _ = reward_functions(REWARDS, data_source="openai/gsm8k", method="strict")
    trained(functions, ["?"], ["#### 18"], ground_truth=["18"])
    copies = pickle.loads(pickle.dumps(functions))
    assert [copy.__name__ for copy in copies] == ["correctness", "format"]
    assert trained(copies, ["?"], ["It is 18."], ground_truth=["18"])[0] == {"correctness": [0.0], "format": [0.0]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rewards": "corectness"}, "did you mean 'correctness'"),
        ({"rewards": "format", "data_source": "openai/gsm8k", "metod": "strict"}, "has no option 'metod'"),
        ({"rewards": "format", "metod": "strict"}, "no scorer has the option 'metod'"),
        ({"rewards": "format", "format_weight": 0.1}, "format_weight=0.1 has no effect"),
        ({"data_source": ["arithmetic"]}, "no scorer for data_source"),
    ],
)
def test_a_mistake_is_found_before_training(arguments, message):
    with pytest.raises(ValueError, match=message):
        reward_functions(**arguments)
    with pytest.raises(UnknownDataSourceError):
        reward_functions("format", data_source="wiki")


@pytest.mark.parametrize(
    ("arguments", "columns", "message"),
    [
        ({}, {"ground_truth": ["1"]}, "no column 'data_source'.*data_source="),
        ({}, {"ground_truth": ["1"], "data_source": [None]}, "a row has no data_source"),
        ({"data_source": "arithmetic"}, {"answer": ["1"]}, "no column 'reward_model' or 'ground_truth', only answer"),
        ({"data_source": "arithmetic", "truth_column": "gold"}, {"answer": ["1"]}, "no column 'gold'"),
    ],
)
def test_a_missing_column_is_named(arguments, columns, message):
    functions, _ = reward_functions("correctness", **arguments)
    with pytest.raises(ValueError, match=message):
        functions[0](prompts=["?"], completions=["1"], **columns)


def test_the_weighted_sum_is_verls_score():
    functions, weights = reward_functions(f"{REWARDS},length(target=9):-0.01", data_source="openai/gsm8k")
    rewards, _ = trained(functions, ["?"], ["#### 18"], ground_truth=["18"])
    total = sum(weight * values[0] for weight, values in zip(weights, rewards.values(), strict=True))
    score = compute_score("openai/gsm8k", "#### 18", "18", rewards=f"{REWARDS},length(target=9):-0.01")["score"]
    assert math.isclose(total, score)


def test_trl_itself_is_not_imported():
    code = "import sys, reward_score.trl_reward; print(sorted({'trl', 'torch', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
