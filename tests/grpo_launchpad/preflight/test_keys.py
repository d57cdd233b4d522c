import re
import subprocess
from importlib.util import find_spec

import pytest
from omegaconf import OmegaConf

from grpo_launchpad.preflight.compose import compose
from grpo_launchpad.preflight.keys import DEAD_BY_BACKEND, DEAD_IN_V1, DEAD_KEYS, check_dead_keys, dead_keys

ENGINES = {"fsdp": ["model_engine=dp"], "megatron": ["model_engine=megatron"]}
ALL = [(backend, key) for backend in ENGINES for key in dead_keys(ENGINES[backend])]
ONLY_WITH_FSDP = ("megatron", "actor_rollout_ref.actor.grad_clip")
# verl reads or ignores these when given, but its own configuration does not list them.
ONLY_WITH_PLUS = {
    "reward_model.reward_kwargs",
    "reward.custom_reward_function.reward_kwargs",
    "algorithm.pf_ppo",
}
REPLACEMENTS = {value for value in DEAD_KEYS.values() if " " not in value}


@pytest.fixture(scope="module")
def default_configs():
    return {backend: compose(engine) for backend, engine in ENGINES.items()}


@pytest.mark.parametrize(
    ("backend", "key"), [pair for pair in ALL if pair[1] not in ONLY_WITH_PLUS and pair != ONLY_WITH_FSDP]
)
def test_dead_key_still_composes_with_verl(backend, key, default_configs):
    """If this fails, verl has dropped the key, composing now refuses it, and its entry can go."""
    parent, _, leaf = key.rpartition(".")
    node = OmegaConf.select(default_configs[backend], parent) if parent else default_configs[backend]
    assert leaf in list(node)


@pytest.mark.parametrize(
    ("name", "readers"),
    [
        ("return_raw_input_ids", r"^$"),
        ("multi_stage_wake_up", r"^workers/config/rollout.py$"),
        ("over_sample_rate", r"^workers/config/rollout.py$"),
        ("dist_checkpointing_prefix", r"^workers/config/engine.py$"),
        ("use_prefix_grouper", r"^(workers/config/actor|trainer/ppo/ray_trainer|models/transformers/monkey_patch).py$"),
        ("use_pf_ppo", r"^trainer/ppo/ray_trainer.py$"),
        ("esi_redundant_time", r"^trainer/ppo/ray_trainer.py$"),
        ("balance_batch", r"^trainer/(ppo/ray_trainer|sft_trainer_ray).py$"),
        ("ray_wait_register_center_timeout", r"^(trainer/ppo/ray_trainer|single_controller/ray/base).py$"),
        ("tiled_mlp", r"^(workers/config/(model|critic)|models/transformers/(monkey_patch|tiled_mlp|__init__)).py$"),
        ("enable_gradient_checkpointing", r"^workers/(config/\w+|engine/(fsdp|veomni)/transformer_impl).py$"),
    ],
)
def test_no_code_that_the_v1_trainer_runs_reads_it(name, readers):
    """If this fails, verl has begun to read the key, and its entry must go."""
    (verl,) = find_spec("verl").submodule_search_locations
    command = ["grep", "-rlwE", name, "--include=*.py", "--exclude-dir=experimental", "."]
    found = subprocess.run(command, cwd=verl, capture_output=True, text=True, timeout=60).stdout.split()
    files = [file.removeprefix("./") for file in found if not file.startswith("./trainer/config/")]
    assert [file for file in files if not re.match(readers, file)] == []


@pytest.mark.parametrize(("backend", "key"), ALL)
@pytest.mark.parametrize("form", ["{}=1", "+{}=1", "++{}=1", "{}.below=1"])
def test_dead_key_is_refused_in_every_form(backend, key, form):
    (problem,) = check_dead_keys([*ENGINES[backend], form.format(key)])
    assert problem.where.startswith(key)
    assert dead_keys(ENGINES[backend])[key] in problem.fix


@pytest.mark.parametrize("key", DEAD_IN_V1)
def test_what_only_the_older_trainer_reads_is_accepted_with_it(key):
    assert check_dead_keys(["trainer.use_v1=False", f"{key}=1"]) == []
    assert len(check_dead_keys(["trainer.use_v1=True", f"{key}=1"])) == 1


@pytest.mark.parametrize("backend", ["fsdp", "megatron"])
def test_what_one_backend_reads_is_accepted_there(backend):
    (other,) = set(ENGINES) - {backend}
    for key in DEAD_BY_BACKEND[other]:
        if "megatron" not in key:
            assert check_dead_keys([*ENGINES[backend], f"{key}=1"]) == []


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
def test_key_named_instead_exists_in_verl(instead, default_configs):
    parent, _, leaf = instead.rpartition(".")
    assert leaf in list(OmegaConf.select(default_configs["fsdp"], parent))
