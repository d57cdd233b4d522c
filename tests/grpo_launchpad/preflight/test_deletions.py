"""A key that a check reads may have been deleted ("~key"): whatever is said then, it is no traceback."""

import pytest

from grpo_launchpad.preflight.batch import INTEGERS, INTEGERS_OR_NULL, POSITIVE_INTEGERS, POSITIVE_INTEGERS_OR_NULL
from grpo_launchpad.preflight.check import check, check_machine
from grpo_launchpad.preflight.compose import ComposeError, check_deletions, compose, without_deletions
from grpo_launchpad.preflight.layout import ACTOR, KEYS, REF, ROLLOUT
from grpo_launchpad.preflight.problem import Problem
from grpo_launchpad.preflight.types import NEEDED

READ = sorted(
    {
        *(key for keys in KEYS.values() for key in keys),
        *POSITIVE_INTEGERS,
        *POSITIVE_INTEGERS_OR_NULL,
        *INTEGERS,
        *INTEGERS_OR_NULL,
        *NEEDED,
        # What the checks read beside numbers.
        "actor_rollout_ref",
        "actor_rollout_ref.model",
        "actor_rollout_ref.model.lora",
        "actor_rollout_ref.model.lora.merge",
        "actor_rollout_ref.model.lora_adapter_path",
        "actor_rollout_ref.model.override_config",
        "actor_rollout_ref.model.use_remove_padding",
        "algorithm",
        "algorithm.adv_estimator",
        "algorithm.rollout_correction",
        "algorithm.use_kl_in_reward",
        "data",
        "data.prompt_key",
        "ray_kwargs",
        "ray_kwargs.ray_init",
        "reward",
        "reward.custom_reward_function",
        "reward.custom_reward_function.path",
        "trainer",
        "trainer.default_local_dir",
        "trainer.logger",
        "trainer.max_actor_ckpt_to_keep",
        "trainer.resume_mode",
        "trainer.use_v1",
        "trainer.v1",
        "trainer.v1.sampler.custom_sampler.path",
        "trainer.v1.trainer_mode",
        ACTOR,
        f"{ACTOR}.fsdp_config",
        f"{ACTOR}.megatron",
        f"{ACTOR}.strategy",
        f"{ACTOR}.use_dynamic_bsz",
        f"{ACTOR}.use_kl_loss",
        REF,
        ROLLOUT,
        f"{ROLLOUT}.disaggregation",
        f"{ROLLOUT}.log_prob_use_dynamic_bsz",
        f"{ROLLOUT}.name",
    }
)


def _composed(overrides):
    try:
        return compose(overrides), []
    except ComposeError as error:
        return None, error.problems


@pytest.mark.parametrize("key", READ)
def test_a_deleted_key_is_no_traceback(launch, key):
    engine = "megatron" if "megatron" in key else "dp"
    overrides = launch.overrides(f"model_engine={engine}", f"~{key}")
    config, problems = _composed(overrides)
    if config is None:
        assert all(isinstance(problem, Problem) and problem.fix for problem in problems)
        return
    for problem in check(config, overrides, launch.run_dir):
        assert (bool(problem.what), bool(problem.fix)) == (True, True)
    for problems in check_machine(config, "cpu", launch.run_dir):
        assert all(problem.fix for problem in problems)
    check_machine(config, "cuda", launch.run_dir)


@pytest.mark.parametrize("key", [f"{ROLLOUT}.max_num_seqs", "trainer.save_freq", "trainer.logger"])
def test_what_stands_beside_a_deleted_key_is_still_checked(launch, key):
    overrides = launch.overrides(f"~{key}", f"{ROLLOUT}.n=1")
    problems = check(compose(overrides), overrides, launch.run_dir)
    assert [problem.where for problem in problems] == [f"{ROLLOUT}.n"]


def test_only_deletions_are_left_out():
    kept = ["a=~b", "++a.b=1", "data.seed=~"]
    assert without_deletions([*kept, "~a.b", "~c=1"]) == kept


@pytest.mark.parametrize("key", ["trainer", "trainer.nnodes", "trainer.resume_mode", "data.train_batch_size"])
def test_a_key_that_verl_reads_as_it_is_cannot_be_deleted(key):
    (problem,) = check_deletions([f"~{key}", f"~{ROLLOUT}.max_num_seqs"])
    assert problem.where == key
    assert f"{key}=null" in problem.fix
