"""Overrides that verl's configuration refuses: each is named, with what was probably meant."""

import pytest

from grpo_launchpad.preflight.compose import ComposeError, compose
from grpo_launchpad.preflight.refusal import REMOVED_KEYS, fields_of, keys_in, nearest_keys, targets_in

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
            ["actor_rollout_ref.rollout.limit_images=4"],
            "actor_rollout_ref.rollout.limit_images",
            "no such key",
            "its configuration tree does not: add it with '+': +actor_rollout_ref.rollout.limit_images=4",
        ),
        (
            ["actor_rollout_ref.rollout.val_kwargs.temprature=1"],
            "actor_rollout_ref.rollout.val_kwargs.temprature",
            "no such key",
            "did you mean actor_rollout_ref.rollout.val_kwargs.temperature",
        ),
        (
            ["actor_rollout_ref.model.override_config.sliding_window=4"],
            "actor_rollout_ref.model.override_config.sliding_window",
            "no such key",
            "add it with '++': ++actor_rollout_ref.model.override_config.sliding_window=4",
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


def test_no_key_of_the_validations_sampling_is_taken_for_an_option_of_vllm():
    (problem,) = refusals("actor_rollout_ref.rollout.val_kwargs.max_tokens=9")
    assert "++" not in problem.fix


def test_what_is_to_be_added_with_a_plus_can_be():
    assert compose(["+actor_rollout_ref.rollout.limit_images=4"]).actor_rollout_ref.rollout.limit_images == 4


@pytest.mark.parametrize("engine", ["dp", "megatron"])
def test_every_class_that_verls_tree_names_has_fields(engine):
    """If this fails, verl's dataclasses have moved, and a field that the tree lacks is called a wrong key."""
    targets = targets_in(compose([f"model_engine={engine}"]))
    assert "limit_images" in fields_of(targets["actor_rollout_ref.rollout"])
    assert {"ppo_mini_batch_size", "strategy"} <= fields_of(targets["actor_rollout_ref.actor"])  # of its base, too
    assert [key for key, target in targets.items() if target.startswith("verl.") and not fields_of(target)] == []
