"""The table of knobs, read as the launchers' library reads it."""

import pytest

from grpo_launchpad import knobs
from grpo_launchpad.knobs import knob_of, knobs_of, read_knobs
from grpo_launchpad.preflight.compose import compose


def test_a_row_has_its_five_columns():
    knob = next(knob for knob in read_knobs() if knob.name == "LOG_PROB_MAX_TOKEN_LEN")
    assert (knob.backend, knob.kind) == ("all", "count")
    assert knob.keys == (
        "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu",
        "actor_rollout_ref.ref.log_prob_max_token_len_per_gpu",
    )
    assert knob.meaning == "tokens a micro batch without gradients"


@pytest.mark.parametrize(
    ("key", "backend", "name"),
    [
        ("data.max_response_length", "fsdp", "MAX_RESPONSE_LENGTH"),
        ("data.max_response_length", "megatron", "MAX_RESPONSE_LENGTH"),
        ("actor_rollout_ref.ref.fsdp_config.ulysses_sequence_parallel_size", "fsdp", "SP_SIZE"),
        ("actor_rollout_ref.model.lora_rank", "fsdp", "LORA_RANK"),
        ("actor_rollout_ref.model.lora.rank", "megatron", "LORA_RANK"),
        ("reward.custom_reward_function.reward_kwargs.rewards", "fsdp", "REWARDS"),
    ],
)
def test_a_key_is_found_in_the_launchers_of_its_backend(key, backend, name):
    assert knob_of(key, backend).name == name


@pytest.mark.parametrize(
    ("key", "backend"),
    [
        ("actor_rollout_ref.model.lora_rank", "megatron"),
        ("actor_rollout_ref.actor.megatron.tensor_model_parallel_size", "fsdp"),
        ("trainer.no_such_key", "fsdp"),
        ("trainer", "fsdp"),
    ],
)
def test_a_key_of_no_knob_is_none(key, backend):
    assert knob_of(key, backend) is None


@pytest.mark.parametrize("backend", ["fsdp", "megatron"])
def test_within_a_backend_names_and_keys_are_unique(backend):
    names = [knob.name for knob in knobs_of(backend)]
    keys = [key for knob in knobs_of(backend) for key in knob.keys]
    assert len(set(names)) == len(names) > 30
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(("backend", "engine"), [("fsdp", "dp"), ("megatron", "megatron")])
def test_every_key_is_one_that_verl_has(backend, engine):
    """The reward's own options are the only ones that verl's tree does not list."""
    keys = [key for knob in knobs_of(backend) for key in knob.keys if "reward_kwargs" not in key]
    compose([f"model_engine={engine}", *(f"{key}=null" for key in keys)])


def test_a_row_without_a_meaning_is_named_with_its_line(tmp_path, monkeypatch):
    table = tmp_path / "knobs.txt"
    table.write_text("# comment\n\nNNODES all count trainer.nnodes\n")
    monkeypatch.setattr(knobs, "TABLE", table)
    knobs._table.cache_clear()
    with pytest.raises(ValueError, match=r"knobs\.txt:3: 4 columns"):
        read_knobs()
    knobs._table.cache_clear()
