"""What training on each kind of device asks of verl, beside what the launcher says: variables, and keys that have one
right value there. Nothing that the user set is replaced, but for variables that choose the device itself.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Variable:
    """An environment variable of the trainer.

    Attributes:
        name: of the variable.
        value: that it gets unless the user set it.
        reason: why it is needed.
        engine: the engine that needs it, or "" for any.
        fixed: whether it gets this value whatever the user set: a run cannot do without.
    """

    name: str
    value: str | Callable[[], str]
    reason: str
    engine: str = ""
    fixed: bool = False


@dataclass(frozen=True)
class Key:
    """A key of verl with the one value that is right on a device.

    Attributes:
        override: Hydra's; "{workers}" in it stands for the number of training workers, "{cpus}" for what Ray is to
            count with: a CPU for each process of a run.
        reason: why it is needed.
        engine: the engine that needs it, or "" for any.
    """

    override: str
    reason: str
    engine: str = ""


@dataclass(frozen=True)
class Device:
    variables: tuple[Variable, ...] = ()
    keys: tuple[Key, ...] = field(default=())


_NO_COMPILER_FOR_NPU = "verl compiles its entropy with Inductor, which has no NPU backend"
_NO_COMPILING = "compiling takes longer than the run"
_TWO_CORES = "few processes, for two cores"
_ASLEEP = "there is no device memory to hand back"
_SAME_CORES = "trainer and engine take turns on the same cores"
_QUIET = "a run tells nobody that it runs"

DEVICES = {
    # verl 0.9.1 sets what CUDA needs.
    "cuda": Device(),
    # Sources: verl's Ascend pages (docs/ascend_tutorial), vLLM-Ascend's guide for reinforcement learning.
    "npu": Device(
        variables=(
            Variable(
                "HCCL_CONNECT_TIMEOUT",
                "1500",
                "seconds that a device waits for the others before the first collective; HCCL's own 120 s are too "
                "short while some workers still load a large model",
            ),
            Variable(
                "RAY_EXPERIMENTAL_NOSET_ASCEND_RT_VISIBLE_DEVICES",
                "1",
                "Ray leaves the list of visible devices as it is; verl gives each worker the device that Ray assigned "
                "to it (`single_controller/base/worker.py`)",
            ),
            Variable(
                "VLLM_ASCEND_ENABLE_NZ",
                "0",
                "vLLM-Ascend would keep weights in a layout of its own (FRACTAL_NZ); its guide for reinforcement "
                "learning turns that off, since the trainer sends new weights every step",
            ),
        ),
        keys=(
            Key("actor_rollout_ref.actor.fsdp_config.use_torch_compile=False", _NO_COMPILER_FOR_NPU, "fsdp"),
            Key("actor_rollout_ref.ref.fsdp_config.use_torch_compile=False", _NO_COMPILER_FOR_NPU, "fsdp"),
            Key(
                "actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes=4096",
                "weights go to the rollout engine through shared memory, where the largest tensor has to fit into one "
                "bucket: the embedding of Qwen3-8B in fp32 has 2,374 MiB, verl's bucket 2,048",
                "fsdp",
            ),
            Key(
                "++actor_rollout_ref.actor.megatron.override_transformer_config.use_flash_attn=True",
                "MindSpeed's flash attention; every Megatron script of verl for NPUs sets it",
                "megatron",
            ),
        ),
    ),
    "cpu": Device(
        variables=(
            Variable("VERL_PLATFORM", "cpu", "chooses the CPU, which is never detected by itself", fixed=True),
            Variable(
                "VERL_ENGINE_DEVICE",
                "cuda",
                'verl registers its FSDP engine for "cuda" and "npu"; this picks the class, not a device',
                fixed=True,
            ),
            Variable("OMP_NUM_THREADS", lambda: str(len(os.sched_getaffinity(0))), _SAME_CORES),
            Variable("VLLM_CPU_OMP_THREADS_BIND", "nobind", _SAME_CORES),
            Variable("VLLM_CPU_KVCACHE_SPACE", "1", "GiB of KV cache"),
            Variable(
                "VLLM_MLA_DISABLE",
                "1",
                "latent attention has no backend on a CPU, and asking for it fails for the language part of a "
                "vision-language model",
            ),
            Variable("TOKENIZERS_PARALLELISM", "false", "the tokenizer's threads do not survive a fork"),
            Variable("VLLM_NO_USAGE_STATS", "1", _QUIET),
            Variable("RAY_USAGE_STATS_ENABLED", "0", _QUIET),
            Variable(
                "RAY_worker_niceness",
                "0",
                "Ray gives its workers niceness 15: beside another program they would get a thirtieth of a core",
            ),
            Variable(
                "RAY_prestart_worker_first_driver",
                "0",
                "the workers that Ray starts ahead lack verl's environment and are never used",
            ),
            Variable("TORCHDYNAMO_DISABLE", "1", "compiled helpers ask for a GPU's properties", "megatron", fixed=True),
            Variable(
                "CUDA_DEVICE_MAX_CONNECTIONS",
                "1",
                "Megatron-Core wants it for tensor parallelism",
                "megatron",
                fixed=True,
            ),
        ),
        keys=(
            Key("++ray_kwargs.ray_init.num_gpus={workers}", 'verl counts workers as Ray "GPU"s; there is no GPU'),
            Key("ray_kwargs.ray_init.num_cpus={cpus}", "room for the placement groups, more than there are cores"),
            Key("++ray_kwargs.ray_init.include_dashboard=False", "one process less"),
            Key("transfer_queue.backend.SimpleStorage.num_data_storage_units=1", _TWO_CORES),
            Key("data.dataloader_num_workers=0", _TWO_CORES),
            Key("data.filter_overlong_prompts_workers=1", _TWO_CORES),
            Key("reward.num_workers=1", _TWO_CORES),
            Key("actor_rollout_ref.rollout.enforce_eager=True", _NO_COMPILING),
            Key(
                "actor_rollout_ref.rollout.load_format=safetensors",
                "the engine starts with the model's weights, not with random ones",
            ),
            Key("actor_rollout_ref.rollout.agent.num_workers=1", _TWO_CORES),
            Key(
                "+actor_rollout_ref.rollout.agent.agent_loop_manager_class="
                "grpo_launchpad.platforms.cpu_agent_loop.LeanAgentLoopManager",
                "half the Python for each sample",
            ),
            Key("actor_rollout_ref.rollout.free_cache_engine=False", _ASLEEP),
            Key("++actor_rollout_ref.rollout.enable_sleep_mode=False", _ASLEEP),
            Key(
                "trainer.v1.sampler.custom_sampler.path=pkg://grpo_launchpad.platforms.cpu_sampler",
                "polls every 0.2 s; verl's own 2 s are most of a tiny model's step",
            ),
            Key("trainer.v1.sampler.custom_sampler.name=EagerReplayBuffer", "the same"),
            Key("actor_rollout_ref.model.use_remove_padding=False", "flash attention has no CPU kernel", "fsdp"),
            Key(
                "++actor_rollout_ref.model.override_config.attn_implementation=sdpa",
                "flash attention has no CPU kernel",
                "fsdp",
            ),
            Key("actor_rollout_ref.actor.fsdp_config.use_torch_compile=False", _NO_COMPILING, "fsdp"),
            Key("actor_rollout_ref.ref.fsdp_config.use_torch_compile=False", _NO_COMPILING, "fsdp"),
            Key(
                "actor_rollout_ref.actor.megatron.vanilla_mbridge=True",
                "mbridge, the older bridge: Megatron-Bridge with verl's adapters needs Python 3.12 and Transformer "
                "Engine. Adapters and vision-language models therefore have no smoke run",
                "megatron",
            ),
        ),
    ),
}


def keys_of(device: str, engine: str, workers: int) -> list[Key]:
    """Return the keys that a device asks for, filled in.

    Args:
        device: "cuda", "npu" or "cpu".
        engine: "fsdp" or "megatron".
        workers: training workers on a machine.
    """
    # On a CPU: the task runner, the agent loop, the reward, the storage and the driver, and three a training worker.
    filled = {"workers": workers, "cpus": 5 + 3 * workers}
    return [
        Key(key.override.format(**filled), key.reason, key.engine)
        for key in DEVICES[device].keys
        if key.engine in ("", engine)
    ]


def variables_of(device: str, engine: str) -> list[Variable]:
    """Return the variables that a device asks for."""
    return [variable for variable in DEVICES[device].variables if variable.engine in ("", engine)]
