#!/usr/bin/env bash
# GRPO | Qwen3-30B-A3B | Megatron | MATH
# Hardware: 1 node of 8 GPUs with 80 GB and 1 TB of memory. Time: not published.
# Source: verl's examples/grpo_trainer/run_qwen3moe-30b_megatron_96gb.sh of January 2026, tested on 1 to 4 such nodes
# of H20 (96 GB), and the layout for it in docs/perf/dpsk.md: 40 % MFU on one node. Group of 8 from today's script,
# whose own layout cannot be: EP2 x ETP4 x PP2 are 16 GPUs of 8, and its rollout EP2 is not TP4.
# Bridge: Megatron-Bridge, verl's default, has Qwen3MoeForCausalLM.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-30b-a3b_megatron_math.sh   check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-30b-a3b_megatron_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-30b-a3b_megatron_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen3-30B-A3B}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/math/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/math/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=512}" # 14 steps an epoch of 7,494 rows
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=8192}"
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=8}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=128}"
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.optim.lr_warmup_steps=${LR_WARMUP_STEPS:=10}"
    "actor_rollout_ref.actor.clip_ratio_low=${CLIP_RATIO_LOW:=0.2}"
    "actor_rollout_ref.actor.clip_ratio_high=${CLIP_RATIO_HIGH:=0.28}"
    "actor_rollout_ref.actor.use_kl_loss=False"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0}" # no reference model
    "actor_rollout_ref.actor.clip_ratio_c=10.0"
    "actor_rollout_ref.actor.optim.weight_decay=0.1"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    # the published run also punished lengths above 4,096
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)

# Memory: experts are 29.0 of 30.5 B parameters. At EP8 a GPU has 3.6 B of them and the other 1.5 B: 28.9 GiB for bf16
# weights and fp32 gradients. With Adam on the GPU it would be 71.5; on the host it takes 12 bytes each, 366 GB. A
# micro batch of 10,240 tokens: 17.4 GiB of logits, 1.9 kept, 3 for a layer whose experts are not evenly loaded: 54 GiB.
ACTOR=(
    "model_engine=megatron"
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=${ACTOR_TP:=1}"
    "actor_rollout_ref.actor.megatron.expert_model_parallel_size=${ACTOR_EP:=8}"
    "actor_rollout_ref.actor.megatron.expert_tensor_parallel_size=${ACTOR_ETP:=1}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_granularity=${RECOMPUTE_GRANULARITY:=full}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_method=${RECOMPUTE_METHOD:=uniform}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_num_layers=${RECOMPUTE_LAYERS:=1}"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=10240}" # one sample is at most 9,216
    "actor_rollout_ref.actor.megatron.param_offload=${PARAM_OFFLOAD:=True}"
    "actor_rollout_ref.actor.megatron.optimizer_offload=${OPTIMIZER_OFFLOAD:=True}"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.optimizer_cpu_offload=True"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.optimizer_offload_fraction=1.0"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.overlap_cpu_optimizer_d2h_h2d=True"
    # the offload needs it
    "+actor_rollout_ref.actor.optim.override_optimizer_config.use_precision_aware_optimizer=True"
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_router_dtype=fp32"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=4}"
    # 48 GB: 15 of weights, 32 of cache; there 0.7 of 96
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.6}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=9216}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=10}"
    "data.val_max_samples=${VAL_ROWS:=500}"
    # the model card forbids greedy decoding for thinking
    "actor_rollout_ref.rollout.val_kwargs.temperature=${VAL_TEMPERATURE:=0.6}"
    "actor_rollout_ref.rollout.val_kwargs.top_p=${VAL_TOP_P:=0.95}"
    "actor_rollout_ref.rollout.val_kwargs.n=${VAL_N:=1}" # answers to a held-out problem; above 1: maj@k, best@k too
    "trainer.test_freq=${TEST_FREQ:=10}"
    "trainer.save_freq=${SAVE_FREQ:=50}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=1}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
