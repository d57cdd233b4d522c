import pytest
from omegaconf import OmegaConf

from grpo_launchpad.preflight.compose import ComposeError, compose
from grpo_launchpad.preflight.keys import DEAD_KEYS, check_dead_keys

# verl reads or ignores these when given, but its own configuration does not list them.
ONLY_WITH_PLUS = {"reward_model.reward_kwargs", "reward.custom_reward_function.reward_kwargs"}
REPLACEMENTS = {value for value in DEAD_KEYS.values() if " " not in value}


@pytest.fixture(scope="module")
def default_config():
    return compose([])


@pytest.mark.parametrize("key", sorted(DEAD_KEYS.keys() - ONLY_WITH_PLUS))
def test_dead_key_still_composes_with_verl(key, default_config):
    """If this fails, verl has dropped the key, composing now refuses it, and its entry can go."""
    parent, _, leaf = key.rpartition(".")
    node = OmegaConf.select(default_config, parent) if parent else default_config
    assert leaf in list(node)


@pytest.mark.parametrize("key", DEAD_KEYS)
@pytest.mark.parametrize("form", ["{}=1", "+{}=1", "++{}=1", "{}.below=1"])
def test_dead_key_is_refused_in_every_form(key, form):
    (problem,) = check_dead_keys([form.format(key)])
    assert problem.where.startswith(key)
    assert DEAD_KEYS[key] in problem.fix


@pytest.mark.parametrize(
    "override",
    [
        "reward.custom_reward_function.path=a",
        "custom_reward_function_of_mine=1",
        "trainer.nnodes=custom_reward_function",
    ],
)
def test_key_that_only_looks_dead_is_accepted(override):
    assert check_dead_keys([override]) == []


@pytest.mark.parametrize("instead", sorted(REPLACEMENTS - ONLY_WITH_PLUS))
def test_key_named_instead_exists_in_verl(instead, default_config):
    parent, _, leaf = instead.rpartition(".")
    assert leaf in list(OmegaConf.select(default_config, parent))


@pytest.mark.parametrize("override", ["actor_rollout_ref.actor.no_such_key=1", "model_engine=none"])
def test_override_that_verl_does_not_accept_is_named(override):
    with pytest.raises(ComposeError) as caught:
        compose([override])
    assert override.split("=")[0].rpartition(".")[2] in caught.value.problem.what
    assert caught.value.problem.fix


def test_malformed_override_is_a_problem_and_no_crash():
    with pytest.raises(ComposeError, match="fix: "):
        compose(["trainer.nnodes=["])


def test_hydras_own_settings_are_not_mistaken_for_verls():
    assert "run" not in compose(["hydra.run.dir=/somewhere", "hydra.output_subdir=null"])
