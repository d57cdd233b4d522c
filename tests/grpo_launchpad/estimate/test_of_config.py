"""A configuration of verl read for its memory, phase by phase, and mended where it does not fit."""

import subprocess
import sys

import pytest

from grpo_launchpad.architectures import published
from grpo_launchpad.estimate import show
from grpo_launchpad.estimate.devices import GIB, device_of
from grpo_launchpad.estimate.hardware import Chosen
from grpo_launchpad.estimate.mend import as_fix, with_changes
from grpo_launchpad.estimate.of_config import NoEstimateError, estimate
from grpo_launchpad.launch.launchers import FOLDER
from grpo_launchpad.launch.plan import ROOT, plan_of_page
from grpo_launchpad.launch.sizing import Sizing
from grpo_launchpad.preflight.compose import compose
from grpo_launchpad.preflight.memory import check_memory

ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
MODEL = "actor_rollout_ref.model.path"


@pytest.fixture(scope="module")
def configs():
    """Configurations of launchers, composed once."""
    composed = {}

    def of(name: str):
        if name not in composed:
            composed[name] = compose(plan_of_page(FOLDER / f"run_{name}.sh").overrides)
        return composed[name]

    return of


def phases(config, device="A100-80") -> dict[str, dict[str, float]]:
    memory = estimate(config, device_of(device)).memory
    return {phase.name: {part.name: part.size for part in phase.parts} for phase in memory.phases}


def fix_of(config, device: str) -> tuple[str, str]:
    """Return the key and the fix of the problem of a configuration."""
    found = estimate(config, device_of(device))
    (problem,) = check_memory(
        config, found, device_of(device), published(config.actor_rollout_ref.model.path), npu=False
    )
    return problem.where, problem.fix


def test_states_leave_the_device_while_the_engine_generates_if_they_are_offloaded(configs):
    config = configs("qwen2-7b_fsdp_gsm8k")
    resident = phases(config)["rollout"]
    assert resident["Adam's moments"] == 8 * 7_615_616_512 / 8
    assert resident["weights"] == 4 * 7_615_616_512 / 8
    assert resident["the rollout engine's share"] == pytest.approx(0.6 * device_of("A100-80").memory)
    offloaded = with_changes(
        config, {f"{ACTOR}.fsdp_config.param_offload": True, f"{ACTOR}.fsdp_config.optimizer_offload": True}
    )
    assert set(phases(offloaded)["rollout"]) == {"the rollout engine's share", "CUDA context and NCCL"}
    # but for the update they come back
    assert phases(offloaded)["optimizer step"] == phases(config)["optimizer step"]


def test_an_engine_that_does_not_sleep_keeps_its_share(configs):
    config = with_changes(configs("qwen2-7b_fsdp_gsm8k"), {f"{ROLLOUT}.free_cache_engine": False})
    assert "the rollout engine's share" in phases(config)["update"]
    assert "the engine asleep" not in phases(config)["update"]


def test_micro_batches_of_a_fixed_size_are_as_long_as_their_samples(configs):
    config = with_changes(
        configs("qwen2-7b_fsdp_gsm8k"),
        {
            f"{ACTOR}.use_dynamic_bsz": False,
            f"{ACTOR}.ppo_micro_batch_size_per_gpu": 4,
            f"{ROLLOUT}.log_prob_use_dynamic_bsz": False,
            f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu": 4,
        },
    )
    launch = estimate(config, None).launch
    assert launch.tokens.most == 4 * (512 + 1024)
    assert launch.tokens.least == pytest.approx(0.2 * launch.tokens.most, abs=1)


def test_a_budget_is_not_filled_by_few_samples(configs):
    config = with_changes(
        configs("qwen2-7b_fsdp_gsm8k"), {"data.train_batch_size": 8, f"{ACTOR}.ppo_mini_batch_size": 8}
    )
    assert estimate(config, None).launch.tokens.most == 8 * 5 / 8 * (512 + 1024)


def test_entropy_and_temperature_need_more_logits(configs):
    config = configs("qwen2-7b_fsdp_gsm8k")
    logits = phases(config)["update"]["logits"]
    hotter = with_changes(config, {f"{ROLLOUT}.temperature": 0.8})
    assert phases(hotter)["update"]["logits"] == 2 * logits
    entropy = with_changes(config, {f"{ACTOR}.entropy_coeff": 0.001})
    assert phases(entropy)["update"]["entropy of logits"] == 2 * logits
    fused = with_changes(config, {"actor_rollout_ref.model.use_fused_kernels": True})
    assert phases(fused)["update"].get("logits", 0) < logits / 10


def test_megatrons_optimizer_on_the_host_is_counted_there(configs):
    found = estimate(configs("qwen3-30b-a3b_megatron_math"), device_of("A100-80"))
    host = {part.name: part.size for part in found.memory.host}
    assert host["optimizer on the host"] > 300 * GIB
    assert "Adam's moments" not in phases(configs("qwen3-30b-a3b_megatron_math"))["optimizer step"]


def test_checkpoints_hold_what_save_contents_names(configs):
    config = configs("qwen2-7b_fsdp_gsm8k")
    kept = 3  # two, and one more while it is written
    assert estimate(config, None).memory.disk == kept * 12 * 7_615_616_512
    weights = with_changes(config, {f"{ACTOR}.checkpoint.save_contents": ["model"]})
    assert estimate(weights, None).memory.disk == kept * 4 * 7_615_616_512
    never = with_changes(config, {"trainer.save_freq": -1})
    assert estimate(never, None).memory.disk == 0


def test_without_a_device_there_is_memory_and_no_verdict(configs):
    memory = estimate(configs("qwen2-7b_fsdp_gsm8k"), None).memory
    assert memory.verdict is None
    assert memory.worst.total > 10 * GIB
    assert "no verdict: set DEVICE" in show.line(memory, None, "set DEVICE=H100, for instance")


@pytest.mark.parametrize(
    ("launcher", "changes", "device", "key", "fix"),
    [
        (
            "qwen2-7b_fsdp_gsm8k",
            {f"{ROLLOUT}.gpu_memory_utilization": 0.97},
            "A100-80",
            f"{ROLLOUT}.gpu_memory_utilization",
            "set GPU_MEMORY_UTILIZATION=",
        ),
        (
            "qwen2.5-32b_fsdp_math",
            {"trainer.n_gpus_per_node": 1, f"{ROLLOUT}.tensor_model_parallel_size": 1},
            "A100-80",
            "trainer.n_gpus_per_node",
            "set NGPUS_PER_NODE=",
        ),
        (
            "qwen2.5-32b_fsdp_math",
            {f"{ROLLOUT}.tensor_model_parallel_size": 1, f"{ROLLOUT}.gpu_memory_utilization": 0.5},
            "A100-80",
            f"{ROLLOUT}.tensor_model_parallel_size",
            "set ROLLOUT_TP=2",
        ),
        (
            "qwen3-8b_megatron_math",
            {f"{ACTOR}.ppo_max_token_len_per_gpu": 65536},
            "A100-80",
            f"{ACTOR}.ppo_max_token_len_per_gpu",
            "set PPO_MAX_TOKEN_LEN=",
        ),
        (
            "qwen2-7b_fsdp_gsm8k",
            {"actor_rollout_ref.model.enable_gradient_checkpointing": False},
            "A100-80",
            "actor_rollout_ref.model.enable_gradient_checkpointing",
            "set GRADIENT_CHECKPOINTING=True",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_a_change_that_mends_it(configs, launcher, changes, device, key, fix):
    config = with_changes(configs(launcher), changes)
    where, said = fix_of(config, device)
    assert where == key
    assert fix in said


def test_what_fits_has_no_problem(configs):
    config = configs("qwen2-7b_fsdp_gsm8k")
    found = estimate(config, device_of("H100"))
    assert check_memory(config, found, device_of("H100"), published("qwen2-7b"), npu=False) == []


def test_what_nothing_mends_says_what_else_there_is(configs):
    config = with_changes(configs("deepseek-v3-671b_megatron_math"), {"trainer.nnodes": 1})
    found = estimate(config, device_of("4090"))
    (problem,) = check_memory(config, found, device_of("4090"), published("deepseek-v3-671b"), npu=False)
    assert "more memory" in problem.fix


def test_a_fix_has_knobs_where_there_are_some():
    changes = {f"{ROLLOUT}.gpu_memory_utilization": 0.5, f"{ACTOR}.fsdp_config.offload_policy": True}
    assert as_fix(changes, "fsdp") == (
        "set GPU_MEMORY_UTILIZATION=0.5 and add ++actor_rollout_ref.actor.fsdp_config.offload_policy=True"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({MODEL: "somebody/something"}, "architecture of somebody/something"),
        ({MODEL: ""}, "no model"),
        ({f"{ACTOR}.strategy": "torchtitan"}, "torchtitan is not modelled"),
        ({"actor_rollout_ref.model.override_config": {"num_hidden_layers": "x"}}, "num_hidden_layers"),
    ],
)
def test_what_is_not_known_has_no_number(configs, changes, reason):
    with pytest.raises(NoEstimateError, match=reason):
        estimate(with_changes(configs("qwen2-7b_fsdp_gsm8k"), changes), device_of("H100"))


def test_a_folder_of_an_unknown_family_has_memory_and_no_verdict(configs, tmp_path):
    (tmp_path / "config.json").write_text(
        '{"model_type": "unheard", "num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 128, '
        '"num_attention_heads": 4, "vocab_size": 100}'
    )
    config = with_changes(configs("qwen2-7b_fsdp_gsm8k"), {MODEL: str(tmp_path)})
    memory = estimate(config, device_of("H100")).memory
    assert memory.verdict is None
    assert "unheard" in memory.not_modelled[0]
    assert "unheard" in show.line(memory, device_of("H100"), "DEVICE=H100")


def test_a_quantised_checkpoint_is_named(configs, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "qwen2", "quantization_config": {"quant_method": "awq"}}')
    config = with_changes(configs("qwen2-7b_fsdp_gsm8k"), {MODEL: str(tmp_path)})
    with pytest.raises(NoEstimateError, match="awq"):
        estimate(config, device_of("H100"))


def test_the_table_has_every_phase_and_the_object_all_bytes(configs):
    device = device_of("H100")
    memory = estimate(configs("qwen2-7b_fsdp_gsm8k"), device).memory
    text = show.table(memory)
    said = show.as_object(memory, device, "DEVICE=H100")
    for phase, entry in zip(memory.phases, said["phases"], strict=True):
        assert phase.name in text
        assert sum(entry["parts"].values()) == pytest.approx(entry["total"], abs=len(phase.parts))
    assert said["verdict"] == "fits"
    assert all(words in text for words in memory.not_modelled)


def test_an_estimate_imports_no_torch_and_no_vllm():
    code = (
        "import sys, grpo_launchpad.launch.sizing, grpo_launchpad.preflight.memory\n"
        "assert not {'torch', 'vllm', 'transformers', 'verl'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_machine_with_too_little_memory_is_noted(configs):
    found = estimate(configs("qwen3-30b-a3b_megatron_math"), device_of("A100-80"))
    sizing = Sizing(Chosen(device_of("A100-80"), "DEVICE"), found, "", [])
    (memory, shared) = sizing.notes(64 * GIB, None)
    assert "64" in memory
    assert "/dev/shm" in shared
    assert sizing.notes(2**41, 2**40) == []
    assert Sizing(Chosen(None, ""), None, "no estimate", []).notes(0, 0) == []
