"""What each launcher tells verl: the pinned verl accepts it, reads all of it, and it holds nothing without effect."""

import re

import pytest
from omegaconf import DictConfig, OmegaConf

from grpo_launchpad.architectures import Architecture, of_model, published
from grpo_launchpad.launch.knobs import knob_of
from grpo_launchpad.preflight.check import check_configuration, check_values
from grpo_launchpad.preflight.compose import compose
from grpo_launchpad.preflight.layout import layout_of

# Where a key that verl's tree lacks may be added: below its dataclasses, which test_verl_accepts_it makes and which
# refuse what they do not have, and in dictionaries that it hands on as they are.
OPEN = (
    "actor_rollout_ref.",
    "data.apply_chat_template_kwargs.",
    "ray_kwargs.ray_init.",
    "reward.custom_reward_function.reward_kwargs.",
)
# Knobs that a reader looks for in every recipe, so that they stand there even with verl's own default.
RECIPE = {
    "NNODES",
    "NGPUS_PER_NODE",
    "TRAIN_BATCH_SIZE",
    "ROLLOUT_N",
    "PPO_MINI_BATCH_SIZE",
    "MAX_PROMPT_LENGTH",
    "MAX_RESPONSE_LENGTH",
    "ACTOR_LR",
    "CLIP_RATIO_LOW",
    "KL_LOSS_COEF",
    "ACTOR_TP",
    "PPO_MAX_TOKEN_LEN",
    "PARAM_OFFLOAD",
    "OPTIMIZER_OFFLOAD",
    "REF_OFFLOAD",
    "ROLLOUT_ENGINE",
    "ROLLOUT_TP",
    "GPU_MEMORY_UTILIZATION",
}
# Keys in which a launcher for NPUs may differ from the one for GPUs.
NPU_DIFFERENCES = {
    "trainer.n_gpus_per_node": "a machine has 8 or 16 NPUs",
    "trainer.nnodes": "an NPU has 64 GB, a GPU 80",
    "actor_rollout_ref.actor.fsdp_config.use_torch_compile": "Inductor has no backend for Ascend",
    "actor_rollout_ref.ref.fsdp_config.use_torch_compile": "Inductor has no backend for Ascend",
    "actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes": "holds the largest tensor",
    "actor_rollout_ref.actor.megatron.override_transformer_config.use_flash_attn": "MindSpeed's attention",
    "actor_rollout_ref.actor.megatron.vanilla_mbridge": "Megatron-Bridge runs on NPUs for few models",
    "actor_rollout_ref.actor.optim.override_optimizer_config": "memory",
    "actor_rollout_ref.rollout.engine_kwargs.vllm.mm_processor_cache_gb": "vLLM-Ascend's image cache",
    "actor_rollout_ref.actor.fsdp_config.param_offload": "memory",
    "actor_rollout_ref.actor.fsdp_config.optimizer_offload": "memory",
    "actor_rollout_ref.ref.fsdp_config.param_offload": "memory",
    "actor_rollout_ref.actor.megatron.param_offload": "memory",
    "actor_rollout_ref.actor.megatron.optimizer_offload": "memory",
    "actor_rollout_ref.ref.megatron.param_offload": "memory",
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size": "memory",
    "actor_rollout_ref.actor.megatron.pipeline_model_parallel_size": "memory",
    "actor_rollout_ref.actor.megatron.expert_model_parallel_size": "memory",
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_granularity": "memory",
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_method": "memory",
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_num_layers": "memory",
    "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size": "memory",
    "actor_rollout_ref.ref.fsdp_config.ulysses_sequence_parallel_size": "memory",
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu": "memory of the logits",
    "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu": "memory of the logits",
    "actor_rollout_ref.ref.log_prob_max_token_len_per_gpu": "memory of the logits",
    "actor_rollout_ref.rollout.gpu_memory_utilization": "memory",
    "actor_rollout_ref.rollout.tensor_model_parallel_size": "memory",
    "actor_rollout_ref.rollout.max_num_seqs": "memory",
    "actor_rollout_ref.rollout.max_num_batched_tokens": "memory",
}
NAMES = {f"trainer.{x}" for x in ("experiment_name", "default_local_dir", "rollout_data_dir", "validation_data_dir")}


def flat(values: dict, prefix: str = "") -> dict[str, object]:
    """Every value of nested dictionaries, by its whole key."""
    found: dict[str, object] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def check_statically(config: DictConfig, arguments: list[str], architecture: Architecture | None) -> None:
    """All checks that need neither files nor hosts."""
    problems = check_values(config, arguments) or check_configuration(config, arguments, architecture)
    assert not problems, "\n".join(map(str, problems))


def test_verl_accepts_it(launcher, examination):
    assert not examination(launcher).refusal


def test_is_what_its_name_says_and_passes_the_checks(launcher, configuration):
    config = configuration(launcher)
    assert config.algorithm.adv_estimator == "grpo"
    assert config.actor_rollout_ref.actor.strategy == {"fsdp": "fsdp2", "megatron": "megatron"}[launcher.engine]
    assert config.trainer.experiment_name == launcher.name
    assert config.trainer.default_local_dir.endswith(f"/the project/runs/{launcher.name}/checkpoints")
    assert config.data.train_files.endswith(f"/the project/data/{launcher.task}/train.parquet")
    model = config.actor_rollout_ref.model.path
    check_statically(config, launcher.plan().overrides, of_model(model))


def test_names_the_model_that_it_trains(launcher):
    if launcher.model != "tiny":
        assert of_model(launcher.knobs["MODEL_PATH"]) == published(launcher.model) is not None


def test_verl_accepts_it_as_a_smoke_run(smoke_launcher, examination):
    assert not examination(smoke_launcher, SMOKE="1").refusal


def test_a_smoke_run_is_small_and_passes_the_checks(smoke_launcher, configuration):
    plan = smoke_launcher.plan(SMOKE="1")
    config = configuration(smoke_launcher, SMOKE="1")
    check_statically(config, plan.overrides, architecture=None)
    full = configuration(smoke_launcher)
    gpus = full.trainer.nnodes * full.trainer.n_gpus_per_node
    assert config.trainer.nnodes == 1
    assert config.trainer.n_gpus_per_node in ((4, 8) if smoke_launcher.engine == "megatron" else (min(gpus, 2),))
    assert config.trainer.total_training_steps == config.trainer.save_freq == config.trainer.test_freq == 2
    assert config.trainer.default_local_dir.endswith(f"/runs/{smoke_launcher.name}.smoke/checkpoints")
    assert plan.variables["VERL_PLATFORM"] == "cpu"


def test_a_smoke_run_keeps_every_way_of_sharing_the_work(smoke_launcher, configuration):
    full, small = layout_of(configuration(smoke_launcher)), layout_of(configuration(smoke_launcher, SMOKE="1"))
    for size in ("tp", "pp", "cp", "ep", "etp"):
        of_full, of_small = getattr(full, size) or 0, getattr(small, size) or 0
        assert min(of_full, 2) <= of_small <= of_full


def test_a_smoke_run_keeps_the_keys_of_the_launcher(smoke_launcher):
    full, smoke = smoke_launcher.settings(), smoke_launcher.settings(SMOKE="1")
    machine = re.compile("fsdp_size|parallel|pipeline|optimizer_.*offload|overlap_cpu|use_precision_aware")
    of_the_machine = {key for key in full if machine.search(key)}
    of_the_engine = {f"actor_rollout_ref.rollout.{key}" for key in ("max_num_seqs", "max_num_batched_tokens")}
    budgets = {key for key in full if key.endswith("log_prob_max_token_len_per_gpu")}
    npu = {key for key in full if smoke_launcher.device == "npu" and key in NPU_DIFFERENCES}
    assert set(full) - of_the_machine - of_the_engine - budgets - npu <= set(smoke)


def test_adds_keys_only_where_verl_has_a_use_for_them(launcher):
    added = [key for key, setting in launcher.plan().settings.items() if "+" in setting.prefix]
    assert not [key for key in added if not key.startswith(OPEN)]


def test_no_knob_repeats_the_default_of_verl_without_a_reason(launcher, configuration, default_configuration):
    config, default = configuration(launcher), default_configuration(launcher.engine)
    lines = launcher.path.read_text().splitlines()
    without_effect = [
        line.knob
        for line in launcher.page.lines
        if line.knob
        and not line.reason
        and not lines[line.number - 2].strip().startswith("#")  # a reason too long for the line stands above it
        and line.knob not in RECIPE
        and OmegaConf.select(config, line.key) == OmegaConf.select(default, line.key)
        and knob_of(line.key, launcher.engine).keys[0] == line.key
    ]
    assert not without_effect


@pytest.fixture(scope="session")
def default_configuration():
    defaults = {"fsdp": compose([]), "megatron": compose(["model_engine=megatron"])}
    return defaults.__getitem__


def test_differs_from_its_twin_for_gpus_only_where_npus_ask_for_it(npu_launcher, configuration):
    # not resolved: what follows from another key is not a difference of its own
    npu, gpu = (
        flat(OmegaConf.to_container(configuration(x), resolve=False)) for x in (npu_launcher, npu_launcher.twin)
    )
    different = {key for key in npu.keys() | gpu.keys() if npu.get(key) != gpu.get(key)}
    explained = tuple(f"{key}." for key in NAMES | NPU_DIFFERENCES.keys())
    unexplained = sorted(key for key in different if not f"{key}.".startswith(explained))
    assert not unexplained, "\n".join(f"{key}: {npu.get(key)} on NPUs, {gpu.get(key)} on GPUs" for key in unexplained)


def test_arguments_may_hold_spaces_quotes_and_commas(dry_sandbox):
    override = "trainer.experiment_name='a \"name\", with $HOME and spaces'"
    arguments = dry_sandbox.print_command("run_tiny_cpu_arithmetic", override).printed_arguments()
    assert arguments[-1] == override
    assert compose(arguments).trainer.experiment_name == 'a "name", with $HOME and spaces'
