"""Token budgets, micro batches and lengths."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from grpo_launchpad.architectures import Architecture
from grpo_launchpad.preflight.batch import VLLM_LORA_RANKS, check_batch, check_integers
from grpo_launchpad.preflight.compose import compose

ACTOR, ROLLOUT, REF = "actor_rollout_ref.actor", "actor_rollout_ref.rollout", "actor_rollout_ref.ref"
MODEL = "actor_rollout_ref.model"
LENGTHS = ("data.max_prompt_length=512", "data.max_response_length=512")
COMMON = (f"{ROLLOUT}.name=vllm", f"{ROLLOUT}.n=8", "algorithm.adv_estimator=grpo", *LENGTHS)
DYNAMIC = (f"{ACTOR}.use_dynamic_bsz=True",)
FIXED = (f"{ACTOR}.ppo_micro_batch_size_per_gpu=4", f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu=8")
KL = f"{ACTOR}.use_kl_loss=True"
SHARED = f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size=2"


def problems_of(*overrides, context=None):
    config = {"num_attention_heads": 8, "max_position_embeddings": context}
    architecture = Architecture("mine", (), config, "config.json", None) if context else None
    return check_batch(compose([*COMMON, *overrides]), architecture)


def places_of(*overrides, context=None):
    return [problem.where.removeprefix("actor_rollout_ref.") for problem in problems_of(*overrides, context=context)]


@pytest.mark.parametrize("engine", ["dp", "megatron"])
def test_a_good_batch_has_no_problem(engine):
    assert problems_of(f"model_engine={engine}", *DYNAMIC, KL, context=1024) == []


@pytest.mark.parametrize(
    ("overrides", "places"),
    [
        ([f"{ACTOR}.ppo_max_token_len_per_gpu=1024"], []),
        ([f"{ACTOR}.ppo_max_token_len_per_gpu=1023"], ["actor.ppo_max_token_len_per_gpu"]),
        ([f"{ACTOR}.ppo_max_token_len_per_gpu=512", SHARED], []),
        ([f"{ACTOR}.ppo_max_token_len_per_gpu=511", SHARED], ["actor.ppo_max_token_len_per_gpu"]),
        # the reference model does not follow the policy in sharing sequences
        ([f"{ACTOR}.ppo_max_token_len_per_gpu=512", SHARED, KL], ["ref.log_prob_max_token_len_per_gpu"]),
        ([f"{ACTOR}.ppo_max_token_len_per_gpu=512", SHARED, KL, f"{MODEL}.lora_rank=8"], []),
        ([f"{ROLLOUT}.log_prob_max_token_len_per_gpu=1023"], ["rollout.log_prob_max_token_len_per_gpu"]),
        ([f"{ROLLOUT}.log_prob_max_token_len_per_gpu=9", "algorithm.rollout_correction.bypass_mode=True"], []),
        ([f"{REF}.log_prob_max_token_len_per_gpu=1023"], []),
        ([f"{REF}.log_prob_max_token_len_per_gpu=1023", KL], ["ref.log_prob_max_token_len_per_gpu"]),
        ([f"{REF}.log_prob_max_token_len_per_gpu=null", KL], ["ref.log_prob_max_token_len_per_gpu"]),
        ([f"{ROLLOUT}.log_prob_use_dynamic_bsz=False"], ["rollout.log_prob_use_dynamic_bsz"]),
    ],
)
def test_every_token_budget_must_hold_one_sample(overrides, places):
    assert places_of(*DYNAMIC, *overrides) == places


@pytest.mark.parametrize(("budget", "enough"), [(511, False), (512, True)])
def test_context_parallelism_counts_for_all_budgets(budget, enough):
    cp = f"{ACTOR}.megatron.context_parallel_size=2"
    problems = problems_of("model_engine=megatron", cp, *DYNAMIC, KL, f"{ACTOR}.ppo_max_token_len_per_gpu={budget}")
    assert (problems == []) == enough
    if not enough:
        assert "511 tokens on 2 devices cannot hold one sample of 1024" in problems[0].what
        assert problems[0].fix == "set PPO_MAX_TOKEN_LEN=1024"


@pytest.mark.parametrize(
    ("overrides", "places"),
    [
        (FIXED, []),
        ((FIXED[0],), ["rollout.log_prob_micro_batch_size_per_gpu"]),
        ((*FIXED, KL), ["ref.log_prob_micro_batch_size_per_gpu"]),
        ((*FIXED, KL, f"{REF}.log_prob_micro_batch_size_per_gpu=16"), []),
        ((*FIXED, f"{ACTOR}.ppo_micro_batch_size_per_gpu=3"), ["actor.ppo_micro_batch_size_per_gpu"]),
        ((*FIXED, f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu=7"), ["rollout.log_prob_micro_batch_size_per_gpu"]),
        (
            (*FIXED, "data.train_batch_size=9", f"{ROLLOUT}.n=3", f"{ACTOR}.ppo_mini_batch_size=8"),
            [
                "actor.ppo_micro_batch_size_per_gpu",
                "rollout.log_prob_micro_batch_size_per_gpu",
                "data.train_batch_size",
            ],
        ),
    ],
)
def test_micro_batches_of_fixed_size_must_divide(overrides, places):
    assert places_of(*overrides) == places


def test_a_micro_batch_gets_the_nearest_that_divides():
    (problem,) = problems_of(*FIXED, f"{ACTOR}.ppo_micro_batch_size_per_gpu=7")
    assert "7 does not divide the 256 samples of a data parallel group" in problem.what
    assert problem.fix == f"add {ACTOR}.ppo_micro_batch_size_per_gpu=8"


@pytest.mark.parametrize(
    ("context", "overrides", "fix"),
    [
        (1024, [], None),
        (1023, [], "set MAX_RESPONSE_LENGTH=511"),
        (512, [], "lower MAX_PROMPT_LENGTH and MAX_RESPONSE_LENGTH to 512 together"),
        (2048, [f"{ROLLOUT}.max_model_len=2049"], "set it to 1024"),
        (1023, [f"++{MODEL}.override_config.max_position_embeddings=4096"], None),
        (1023, [f"{ROLLOUT}.name=sglang"], None),
    ],
)
def test_prompt_and_response_must_fit_the_models_context(context, overrides, fix):
    assert [problem.fix for problem in problems_of(*DYNAMIC, *overrides, context=context)] == ([fix] if fix else [])


def test_the_rollout_engine_reads_at_least_a_token_of_each_sample():
    (problem,) = problems_of(*DYNAMIC, f"{ROLLOUT}.max_num_seqs=9000")
    assert problem.fix == "set MAX_NUM_SEQS=8192, or MAX_NUM_BATCHED_TOKENS=9000 or more"


@pytest.mark.parametrize(
    ("overrides", "fits"),
    [
        ([f"{MODEL}.lora_rank=512"], True),
        ([f"{MODEL}.lora_rank=12"], True),  # verl gives vLLM room for 16
        ([f"{MODEL}.lora_rank=513"], False),
        (["model_engine=megatron", f"{MODEL}.lora.rank=1024"], False),
        (["model_engine=megatron", f"{MODEL}.lora.rank=1024", f"{MODEL}.lora.merge=True"], True),
    ],
)
def test_vllm_must_hold_the_adapter(overrides, fits):
    problems = problems_of(*DYNAMIC, *overrides)
    assert [problem.fix for problem in problems] == ([] if fits else ["set LORA_RANK=512"])


def test_the_ranks_are_those_of_vllm():
    source = Path(find_spec("vllm").submodule_search_locations[0], "config", "lora.py").read_text()
    ranks = re.search(r"MaxLoRARanks = Literal\[([\d, ]+)\]", source)[1]
    assert tuple(map(int, ranks.split(","))) == VLLM_LORA_RANKS


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("trainer.nnodes=0", "0 is not a whole number above 0"),
        ("trainer.nnodes=1.5", "1.5 is not a whole number above 0"),
        ("trainer.save_freq=2.5", "2.5 is not a whole number"),
        (f"{ACTOR}.fsdp_config.fsdp_size=2.5", "2.5 is not a whole number"),
        (f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size=0", "0 is not"),
        (f"{ROLLOUT}.data_parallel_size=null", "None is not a whole number above 0"),
        (f"{ROLLOUT}.max_model_len=-1", "-1 is not"),
    ],
)
def test_counts_are_whole_numbers(override, what):
    (problem,) = check_integers(compose([override]))
    assert problem.where == override.split("=")[0]
    assert what in problem.what


@pytest.mark.parametrize("override", ["trainer.save_freq=-1", f"{ACTOR}.fsdp_config.fsdp_size=-1"])
def test_what_may_be_negative_is(override):
    assert check_integers(compose([override])) == []


def test_megatrons_counts_are_whole_numbers():
    wrong = [f"{ACTOR}.megatron.{name}_size=0" for name in ("tensor_model_parallel", "expert_tensor_parallel")]
    assert len(check_integers(compose(["model_engine=megatron", *wrong]))) == 2
    assert check_integers(compose(["model_engine=megatron"])) == []
