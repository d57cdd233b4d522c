"""Keys that compose and that nothing reads in the launch at hand; and that they are accepted where something does."""

import pytest

from grpo_launchpad.preflight.compose import compose
from grpo_launchpad.preflight.keys import WITHOUT_EFFECT, check_keys_without_effect

ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
IN_VAIN = {
    f"{ACTOR}.clip_ratio=0.1": [f"{ACTOR}.clip_ratio_low=null"],
    f"{ACTOR}.loss_scale_factor=1024": [f"{ACTOR}.loss_agg_mode=seq-mean-token-sum-norm"],
    "critic.optim.lr=1e-5": ["algorithm.adv_estimator=gae"],
    "algorithm.kl_ctrl.kl_coef=0.01": ["algorithm.use_kl_in_reward=True"],
    "algorithm.kl_penalty=k3": ["algorithm.use_kl_in_reward=True"],
    "algorithm.filter_groups.max_num_gen_batches=10": ["trainer.use_v1=False"],
    f"{ROLLOUT}.do_sample=False": ["trainer.use_v1=False"],
    f"+{ROLLOUT}.repetition_penalty=1.1": ["trainer.use_v1=False"],
    "data.truncation=left": ["trainer.use_v1=False"],
    "data.reward_fn_key=source": ["trainer.use_v1=False"],
    "reward_model.enable=True": ["trainer.use_v1=False"],
}


def found(*overrides: str) -> list[str]:
    given = ["algorithm.adv_estimator=grpo", *overrides]
    return [problem.where for problem in check_keys_without_effect(compose(given), given)]


@pytest.mark.parametrize("override", IN_VAIN)
def test_a_key_in_vain_is_named_and_accepted_where_it_is_read(override):
    assert found(override) == [override.lstrip("+").partition("=")[0]]
    assert found(override, *IN_VAIN[override]) == []


def test_every_rule_has_a_case():
    assert {each.key for each in WITHOUT_EFFECT} == {
        next(rule.key for rule in WITHOUT_EFFECT if override.lstrip("+").startswith(rule.key)) for override in IN_VAIN
    }


@pytest.mark.parametrize(
    "override", [f"{ACTOR}.clip_ratio=0.2", "data.truncation=error", f"{ROLLOUT}.do_sample=True", "data.seed=1"]
)
def test_a_value_that_changes_nothing_may_stand(override):
    assert found(override) == []
