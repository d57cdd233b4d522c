"""Overrides that verl's configuration refuses: each is named, with what was probably meant."""

import pytest

from grpo_launchpad.preflight.compose import ComposeError, compose
from grpo_launchpad.preflight.refusal import REMOVED_KEYS, keys_in, nearest_keys

MEGATRON = "model_engine=megatron"


def refusals(*overrides):
    with pytest.raises(ComposeError) as caught:
        compose(list(overrides))
    return caught.value.problems


@pytest.mark.parametrize(
    ("overrides", "where", "what", "fix"),
    [
        (["data.trian_batch_size=8"], "data.trian_batch_size", "no such key", "did you mean data.train_batch_size?"),
        (["actor.optim.lr=1"], "actor.optim.lr", "no such key", "did you mean actor_rollout_ref.actor.optim.lr?"),
        (
            ["actor_rollout_ref.rollout.tensor_parallel_size=2"],
            "actor_rollout_ref.rollout.tensor_parallel_size",
            "no such key",
            "did you mean actor_rollout_ref.rollout.tensor_model_parallel_size",
        ),
        (["ROLLOUT_N=8"], "ROLLOUT_N", "no such key", "a knob stands before the command: ROLLOUT_N=8 bash"),
        (["xyzzy.plugh=1"], "xyzzy.plugh", "no such key", "docs/en/launchers.md"),
        (["~trainer.zzz"], "trainer.zzz", "no such key", "correct the key"),
        (["+trainer.nnodes=2"], "trainer.nnodes", "adds a key that verl 0.9.1 has", "without '+': trainer.nnodes=2"),
        (["trainer.nnodes=["], "trainer.nnodes", "trainer.nnodes=[ cannot be parsed", "quotes"),
        (["trainer.nnodes"], "trainer.nnodes", "cannot be parsed", "write trainer.nnodes=VALUE"),
        (["trainer.experiment_name=a,b"], "trainer.experiment_name", "neither", "\"trainer.experiment_name='a,b'\""),
        (["model_engine=none"], "model_engine", "no model_engine=none", "model_engine=dp, model_engine=megatron"),
        (
            ["actor_rollout_ref.rollout.engine_kwargs.vllm.max_loras=2"],
            "actor_rollout_ref.rollout.engine_kwargs.vllm.max_loras",
            "no such key",
            "add it with '++': ++actor_rollout_ref.rollout.engine_kwargs.vllm.max_loras=2",
        ),
        (
            ["actor_rollout_ref.actor.megatron.context_parallel_size=2"],
            "actor_rollout_ref.actor.megatron.context_parallel_size",
            "no such key",
            "use a launcher for Megatron",
        ),
        (
            [MEGATRON, "actor_rollout_ref.actor.fsdp_config.model_dtype=bf16"],
            "actor_rollout_ref.actor.fsdp_config.model_dtype",
            "no such key",
            "use a launcher for FSDP",
        ),
        (
            [MEGATRON, "actor_rollout_ref.actor.megatron.grad_offload=True"],
            "actor_rollout_ref.actor.megatron.grad_offload",
            "no such key",
            "verl 0.9 removed it",
        ),
    ],
)
def test_a_refused_override_is_named_with_its_correction(overrides, where, what, fix):
    (problem,) = refusals(*overrides)
    assert problem.where == where
    assert what in problem.what
    assert fix in problem.fix


def test_all_refused_overrides_are_named_at_once():
    problems = refusals("trainer.nnodes=[", "data.seeds=1", "+trainer.nnodes=2", "model_engine=none", "data.seed=1")
    assert {problem.where for problem in problems} == {"trainer.nnodes", "data.seeds", "model_engine"}
    assert len(problems) == 4


@pytest.mark.parametrize("engine", ["dp", "megatron"])
def test_a_removed_key_is_removed_indeed(engine):
    """If this fails, verl has the key again, and its entry can go."""
    assert not keys_in(compose([f"model_engine={engine}"])) & set(REMOVED_KEYS)


def test_what_resembles_nothing_gets_no_suggestion():
    assert nearest_keys("qqq.www", {"trainer.nnodes", "data.seed"}) == []


def test_what_can_be_composed_is_not_refused():
    config = compose(["+data.mine=1", "data.mine=2", "++trainer.nnodes=3"])
    assert (config.data.mine, config.trainer.nnodes) == (2, 3)


def test_hydras_own_settings_are_not_mistaken_for_verls():
    assert "run" not in compose(["hydra.run.dir=/somewhere", "hydra.output_subdir=null"])
