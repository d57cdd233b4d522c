# shellcheck shell=bash
# What training on each kind of device asks of verl, beside what the launcher says: the environment, and the keys that
# have one right value there. Nothing that the user set is replaced.

launch::device() {
    "launch::${LAUNCH_DEVICE}_device"
}

launch::cuda_device() {
    : # verl 0.9.1 sets what CUDA needs
}

# Sources: verl's Ascend pages (docs/ascend_tutorial) and docs/en/launchers.md, which has the reason for each line.
launch::npu_device() {
    launch::default HCCL_CONNECT_TIMEOUT 1500
    launch::default RAY_EXPERIMENTAL_NOSET_ASCEND_RT_VISIBLE_DEVICES 1
    launch::default VLLM_ASCEND_ENABLE_NZ 0
    case "${LAUNCH_ENGINE}" in
        fsdp)
            PLUMBING+=(
                "actor_rollout_ref.actor.fsdp_config.use_torch_compile=False"
                "actor_rollout_ref.ref.fsdp_config.use_torch_compile=False"
                "actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes=4096"
            )
            ;;
        megatron)
            PLUMBING+=("++actor_rollout_ref.actor.megatron.override_transformer_config.use_flash_attn=True")
            ;;
    esac
}

# docs/en/cpu.md has the reason for each line.
launch::cpu_device() {
    launch::set VERL_PLATFORM=cpu
    launch::set VERL_ENGINE_DEVICE=cuda
    launch::default OMP_NUM_THREADS "$(nproc)"
    launch::default VLLM_CPU_OMP_THREADS_BIND nobind
    launch::default VLLM_CPU_KVCACHE_SPACE 1
    launch::default VLLM_MLA_DISABLE 1
    launch::default TOKENIZERS_PARALLELISM false
    launch::default VLLM_NO_USAGE_STATS 1
    launch::default RAY_USAGE_STATS_ENABLED 0
    launch::default RAY_prestart_worker_first_driver 0
    PLUMBING+=(
        "++ray_kwargs.ray_init.num_gpus=${NGPUS_PER_NODE}" # Ray's name for a training worker; there is no GPU
        "ray_kwargs.ray_init.num_cpus=$((5 + 3 * NGPUS_PER_NODE))"
        "++ray_kwargs.ray_init.include_dashboard=False"
        "transfer_queue.backend.SimpleStorage.num_data_storage_units=1"
        "data.dataloader_num_workers=0"
        "data.filter_overlong_prompts_workers=1"
        "reward.num_workers=1"
        "actor_rollout_ref.rollout.enforce_eager=True"
        "actor_rollout_ref.rollout.load_format=safetensors"
        "actor_rollout_ref.rollout.agent.num_workers=1"
        "actor_rollout_ref.rollout.free_cache_engine=False"
        "++actor_rollout_ref.rollout.enable_sleep_mode=False"
        "trainer.v1.sampler.custom_sampler.path=pkg://grpo_launchpad.platforms.cpu_sampler"
        "trainer.v1.sampler.custom_sampler.name=EagerReplayBuffer"
    )
    case "${LAUNCH_ENGINE}" in
        fsdp)
            PLUMBING+=(
                "actor_rollout_ref.model.use_remove_padding=False"
                "++actor_rollout_ref.model.override_config.attn_implementation=sdpa"
                "actor_rollout_ref.actor.fsdp_config.use_torch_compile=False"
                "actor_rollout_ref.ref.fsdp_config.use_torch_compile=False"
            )
            ;;
        megatron)
            launch::set TORCHDYNAMO_DISABLE=1
            launch::set CUDA_DEVICE_MAX_CONNECTIONS=1
            PLUMBING+=("actor_rollout_ref.actor.megatron.vanilla_mbridge=True")
            ;;
    esac
}
