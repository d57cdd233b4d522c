import asyncio
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from reward_score import (
    UnknownDataSourceError,
    check_configuration,
    compute_score,
    compute_score_async,
    compute_scores,
    verl_reward,
)

REWARDS = "correctness:1.0,format:0.2"
FAILED = {"score": 0.0, "acc": 0.0, "format": 0.0, "scorer_error": 1.0, "pred": ""}


def test_called_as_verl_calls_it():
    result = compute_score(
        data_source="openai/gsm8k",
        solution_str="#### 18",
        ground_truth="18",
        extra_info={"index": 0, "num_turns": None, "rollout_reward_scores": {}},
        reward_router_address="localhost:1",
        reward_model_tokenizer=None,
        format_weight=0.1,
    )
    assert result == {"score": pytest.approx(1.1), "acc": 1.0, "format": 1.0, "scorer_error": 0.0, "pred": "18"}


@pytest.mark.parametrize(
    ("response", "acc", "form"), [("42", 1.0, 1.0), (" 42\n", 1.0, 1.0), ("43", 0.0, 1.0), ("42 or 43", 0.0, 0.0)]
)
def test_arithmetic_is_scored_by_its_own_scorer(response, acc, form):
    answer = "".join(response.split())
    expected = {"score": acc, "acc": acc, "format": form, "scorer_error": 0.0, "pred": answer}
    assert compute_score("arithmetic", response, "42") == expected


@pytest.mark.parametrize("made", [lambda given: given, OmegaConf.create], ids=["plain", "omegaconf"])
@pytest.mark.parametrize("rewards", [{"correctness": 1.0, "format": 0.2}, ["correctness:1.0", "format:0.2"]])
def test_the_composition_may_be_a_mapping_or_list(rewards, made):
    rewards = made(rewards)
    for _ in range(2):
        assert compute_score("openai/gsm8k", "#### 18", "18", rewards=rewards)["score"] == 1.2
    other = made({"correctness": 3.0})
    assert compute_score("openai/gsm8k", "#### 18", "18", rewards=other)["score"] == 3.0


@pytest.mark.parametrize("made", [lambda given: given, OmegaConf.create], ids=["plain", "omegaconf"])
def test_a_composition_that_is_changed_in_place_is_read_again(made):
    mapping, terms = made({"correctness": 1.0, "length": {"weight": 0.0}}), made(["correctness:1.0"])
    for rewards in (mapping, terms):
        assert compute_score("openai/gsm8k", "#### 18", "18", rewards=rewards)["score"] == 1.0
    mapping["correctness"] = 2.0
    mapping["length"]["weight"] = 1.0
    terms[0] = "correctness:3.0"
    assert compute_score("openai/gsm8k", "#### 18", "18", rewards=mapping)["score"] == 2.0 + 43.0
    assert compute_score("openai/gsm8k", "#### 18", "18", rewards=terms)["score"] == 3.0


def test_a_composition_may_be_one_that_was_read_before():
    rewards = check_configuration(["openai/gsm8k"], "correctness:2.0")
    assert compute_score("openai/gsm8k", "#### 18", "18", rewards=rewards)["score"] == 2.0


class TestVerlsOwnCode:
    def loaded(self, *overrides: str, name: str = "compute_score"):
        from verl.trainer.ppo.reward import get_custom_reward_fn

        from grpo_launchpad.preflight.compose import compose

        path = "reward.custom_reward_function"
        return get_custom_reward_fn(compose([f"{path}.path=pkg://reward_score", f"{path}.name={name}", *overrides]))

    @pytest.mark.parametrize(
        "value",
        [
            "'correctness:1.0,format:0.2,length(target=7,unit=characters):-0.5'",
            "{correctness:1.0,format:0.2,length:{weight:-0.5,target:7,unit:characters}}",
            "[{name:correctness,weight:1.0},'format:0.2','length(target=7):-0.5']",
        ],
    )
    def test_its_overrides_reach_the_function(self, value):
        function = self.loaded(f"++reward.custom_reward_function.reward_kwargs.rewards={value}")
        result = function(data_source="openai/gsm8k", solution_str="#### 18", ground_truth="18", extra_info={})
        assert list(result) == ["score", "acc", "correctness", "format", "length", "scorer_error", "pred"]
        assert result["score"] == pytest.approx(1.2)

    def test_its_options_reach_the_scorer(self):
        function = self.loaded("++reward.custom_reward_function.reward_kwargs.method=strict")
        row = {"data_source": "openai/gsm8k", "ground_truth": "18", "extra_info": None}
        assert function(solution_str="It is 18.", **row)["acc"] == 0.0
        assert function(solution_str="#### 18", **row)["acc"] == 1.0

    @pytest.mark.parametrize("name", ["compute_score", "compute_score_async"])
    @pytest.mark.parametrize("manager", ["naive", "gdpo"])
    def test_its_reward_managers_take_the_components(self, manager, name):
        import torch
        from verl import DataProto
        from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls

        class Tokenizer:
            def decode(self, ids, skip_special_tokens):
                return "".join(map(chr, ids.tolist()))

        response = torch.tensor([[ord(character) for character in "#### 18"]])
        row = DataProto.from_dict(
            {"responses": response, "attention_mask": torch.ones_like(response)},
            non_tensors={
                "data_source": ["openai/gsm8k"],
                "reward_model": [{"ground_truth": "18"}],
                "extra_info": [{}],
            },
        )
        function = self.loaded(f"++reward.custom_reward_function.reward_kwargs.rewards='{REWARDS}'", name=name)
        config = OmegaConf.create({"trainer": {"experiment_name": "test"}})

        async def scored():
            made = get_reward_manager_cls(manager)(config=config, tokenizer=Tokenizer(), compute_score=function)
            return await made.run_single(row)

        result = asyncio.run(scored())
        assert result["reward_score"] == 1.2
        assert result["reward_extra_info"] == compute_score("openai/gsm8k", "#### 18", "18", rewards=REWARDS)

    def test_gdpo_normalizes_the_components_that_are_named(self):
        import numpy as np
        import torch
        from verl.trainer.ppo.core_algos import compute_gdpo_outcome_advantage

        responses = ["#### 18", "#### 17", "It is 18.", "It is 17."]  # right or wrong, in the form or not
        results = compute_scores("openai/gsm8k", responses, ["18"] * 4, rewards=REWARDS)
        extra = {key: np.array([result[key] for result in results]) for key in results[0]}
        mask = torch.ones(4, 3)
        batch = {"prompts": torch.ones(4, 2), "attention_mask": torch.ones(4, 5, dtype=torch.long)}
        rewards = torch.zeros(4, 3)
        rewards[:, -1] = torch.tensor([result["score"] for result in results])

        def advantages(**config):
            found, _ = compute_gdpo_outcome_advantage(
                rewards,
                mask,
                index=np.array(["one"] * 4, dtype=object),
                config=OmegaConf.create(config),
                non_tensor_batch=extra,
                batch=batch,
            )
            return found[:, 0].tolist()

        both, right, wrong, neither = advantages(gdpo_reward_keys=["correctness", "format"])
        assert both > right == pytest.approx(0.0, abs=1e-6) == wrong
        assert neither == pytest.approx(-both)
        weighted = advantages(gdpo_reward_keys=["correctness", "format"], gdpo_reward_weights=[1.0, 0.2])
        assert weighted[0] > weighted[2] > 0 > weighted[1] > weighted[3]
        with pytest.raises(AssertionError, match="tag_count"):
            advantages(gdpo_reward_keys=["correctness", "tag_count"])

    def test_its_v1_trainer_gives_gdpo_no_components(self):
        """If this fails, verl has changed, and the check in preflight and the docs can go."""
        from verl.trainer.ppo.v1.trainer_base import PPOTrainer

        source = inspect.getsource(PPOTrainer._compute_advantage)
        assert "extra_fields" not in source
        assert '"prompts"' not in source


class TestFailure:
    @pytest.mark.parametrize("data_source", ["wiki", "", None, 3, ["a"], {}])
    def test_an_unknown_data_source_counts_as_one(self, data_source):
        assert compute_score(data_source, "42", "42") == FAILED

    @pytest.mark.parametrize("options", [{"format_weigth": 0.1}, {"method": "loose"}, {"format_weight": "much"}])
    def test_a_wrong_option_counts_as_one(self, options):
        assert compute_score("openai/gsm8k", "#### 18", "18", **options) == FAILED

    def test_another_tasks_option_is_passed_over(self):
        assert compute_score("arithmetic", "42", "42", format_weight=0.1, method="strict")["acc"] == 1.0

    @pytest.mark.parametrize("rewards", ["corectness:1", "", 3, {"correctness": "much"}, "/no/such.yaml", b"format:1"])
    def test_a_wrong_composition_counts_as_one(self, rewards):
        assert compute_score("openai/gsm8k", "#### 18", "18", rewards=rewards) == {
            "score": 0.0,
            "acc": 0.0,
            "scorer_error": 1.0,
            "pred": "",
        }

    @pytest.mark.parametrize("extra_info", [None, {}, 3, "x", [], float("nan")])
    def test_no_extra_info_is_one(self, extra_info):
        assert compute_score("openai/gsm8k", "#### 18", "18", extra_info)["scorer_error"] == 0.0

    @given(
        st.sampled_from(["openai/gsm8k", "arithmetic", "math", "countdown", "kk_logic", "searchR1_nq", "nothing"]),
        st.none() | st.text() | st.binary() | st.integers(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=5,
        ),
        st.sampled_from([None, REWARDS, "task:1,length:-0.01", "corectness:1", 3]),
    )
    def test_no_value_raises(self, data_source, response, truth, rewards):
        result = compute_score(data_source, response, truth, rewards=rewards)
        assert {"score", "acc", "scorer_error"} <= set(result)
        assert isinstance(result.pop("pred"), str | None)
        assert all(type(value) is float for value in result.values())


class TestAsync:
    def test_verl_sees_a_coroutine_function(self):
        assert inspect.iscoroutinefunction(compute_score_async)

    def test_the_result_is_the_same(self):
        arguments = ("openai/gsm8k", "#### 18", 18, {"index": 0})
        result = asyncio.run(compute_score_async(*arguments, rewards=REWARDS, method="strict"))
        assert result == compute_score(*arguments, rewards=REWARDS, method="strict")

    def test_the_event_loop_goes_on_while_a_scorer_is_slow(self, monkeypatch):
        release = threading.Event()

        def slow(*arguments, **options):
            assert release.wait(300)
            return FAILED

        monkeypatch.setattr(verl_reward, "compute_score", slow)

        async def run():
            scoring = asyncio.ensure_future(compute_score_async("openai/gsm8k", "", ""))
            await asyncio.sleep(0.05)  # would wait for ever if the scorer blocked the loop
            assert not scoring.done()
            release.set()
            return await scoring

        assert asyncio.run(run()) == FAILED

    def test_many_threads_get_the_same_results(self):
        arguments = [("openai/gsm8k", f"#### {number % 7}", "3") for number in range(500)]
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda one: compute_score(*one, rewards={"correctness": 1.0}), arguments))
        assert [result["score"] for result in results] == [float(number % 7 == 3) for number in range(500)]


class TestBatch:
    def test_lists_in_a_list_out(self):
        results = compute_scores(["openai/gsm8k", "arithmetic"], ["#### 18", "43"], [18, "42"], [{}, None])
        assert [result["acc"] for result in results] == [1.0, 0.0]
        assert compute_scores("arithmetic", ["1", "2"], ["1", "1"], rewards="correctness:2")[0]["score"] == 2.0
        assert compute_scores([], [], []) == []

    @pytest.mark.parametrize("lists", [(["a"], ["x", "y"], ["x", "y"]), ("a", ["x"], []), ("a", ["x"], ["x"], [])])
    def test_lists_of_different_lengths_are_refused(self, lists):
        with pytest.raises(ValueError, match="give the same number of each"):
            compute_scores(*lists)

    def test_a_composition_costs_little(self, cpu_seconds):
        with cpu_seconds(5):
            compute_scores("openai/gsm8k", ["18 in all.\n#### 18"] * 20_000, ["18"] * 20_000, rewards=REWARDS)


class TestCheckConfiguration:
    def test_returns_the_composition(self):
        assert str(check_configuration(["openai/gsm8k"], REWARDS, {"method": "strict"})) == REWARDS
        assert check_configuration([], None).terms == ()

    def test_an_option_goes_to_the_tasks_that_have_it(self):
        check_configuration(["openai/gsm8k", "arithmetic"], None, {"method": "strict", "reward_router_address": "x"})
        check_configuration(["openai/gsm8k"], None, OmegaConf.create({"format_weight": 1}))
        check_configuration(["openai/gsm8k"], "task,length:-0.001", {"format_weight": 1})
        check_configuration([], "correctness", {"method": "strict"})

    @pytest.mark.parametrize(
        ("data_sources", "rewards", "options", "message"),
        [
            (["wiki"], None, {}, "no scorer for data_source 'wiki'"),
            (["arithmetic"], "corectness:1", {}, "did you mean 'correctness'"),
            (
                ["arithmetic"],
                None,
                {"method": "strict"},
                "the scorer of arithmetic has no option 'method'; there are none",
            ),
            (["openai/gsm8k"], None, {"metod": "strict"}, "has no option 'metod' .did you mean 'method'.*there are: "),
            (["openai/gsm8k"], None, {"method": "loose"}, "scorer of task 'gsm8k': method='loose'"),
            (["openai/gsm8k"], None, {"format_weight": "much"}, "format_weight='much' is not a number"),
            (["openai/gsm8k"], None, {"format_weight": float("nan")}, "format_weight=nan is not a number"),
            (["code_tests"], None, {}, "execute=False"),
            ([["arithmetic"]], None, {}, r"no scorer for data_source \['arithmetic'\]"),
            ([], None, {"metod": "strict"}, "no scorer has the option 'metod' .did you mean 'method'"),
            (["math"], "correctness", {"format_weight": 0.1}, "format_weight=0.1 has no effect.*format:<weight>"),
            ([], "correctness", {"format_weight": 0.1}, "format_weight=0.1 has no effect"),
        ],
    )
    def test_a_mistake_is_named(self, data_sources, rewards, options, message):
        with pytest.raises(ValueError, match=message):
            check_configuration(data_sources, rewards, options)

    def test_an_unknown_data_source_has_its_own_error(self):
        with pytest.raises(UnknownDataSourceError):
            check_configuration(["wiki"])
