"""Values of the wrong kind, which Hydra composes without a word."""

import pytest
from omegaconf import OmegaConf

from grpo_launchpad.preflight.compose import compose
from grpo_launchpad.preflight.types import NEEDED, _number, check_types, defaults_of


def problems_of(*overrides):
    return check_types(compose(list(overrides)), list(overrides))


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("trainer.nnodes=abc", "'abc' is not a number"),
        ("actor_rollout_ref.actor.optim.lr=fast", "'fast' is not a number"),
        ("trainer.val_before_train=yes", "'yes' is not True or False"),
        ("trainer.val_before_train=2", "2 is not True or False"),
        ("actor_rollout_ref.actor.fsdp_config=3", "3 is not a dictionary"),
        ("trainer.nnodes='${nope}'", "cannot be resolved: Interpolation key 'nope' not found"),
        ("actor_rollout_ref.model.path=null", "it has no value"),
        ("data.train_files=''", "it has no value"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(override, what):
    (problem,) = problems_of(override)
    assert problem.where == override.split("=")[0]
    assert what in problem.what
    assert problem.fix


@pytest.mark.parametrize(
    "override",
    [
        "actor_rollout_ref.actor.entropy_coeff=0.001",  # verl's default is the whole number 0
        "actor_rollout_ref.rollout.temperature=1",
        "actor_rollout_ref.actor.optim.lr=1e-6",
        "trainer.val_before_train=0",
        "trainer.total_training_steps=null",
        "trainer.logger=console",
        "actor_rollout_ref.model.target_modules=[q_proj]",
        "algorithm.rollout_correction.rollout_is_threshold='0.5_5.0'",
        "actor_rollout_ref.rollout.prompt_length=${data.max_prompt_length}",
        "+data.mine=word",
    ],
)
def test_a_value_that_verl_takes_is_accepted(override):
    assert problems_of(override) == []


@pytest.mark.parametrize(("backend", "engine"), [("fsdp", "dp"), ("megatron", "megatron")])
def test_the_defaults_that_verl_ships_are_those_it_composes(backend, engine):
    config = compose([f"model_engine={engine}"])
    for key, value in defaults_of(backend).items():
        if isinstance(value, bool | int | float):
            composed = _number(OmegaConf.select(config, key))
            assert composed == value, key
            assert isinstance(composed, bool) == isinstance(value, bool), key


def test_what_is_needed_exists():
    config = compose([])
    assert all(OmegaConf.select(config, key) for key in NEEDED)
