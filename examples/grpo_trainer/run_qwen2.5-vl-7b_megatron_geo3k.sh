#!/usr/bin/env bash
# GRPO | Qwen2.5-VL-7B-Instruct | Megatron | Geometry3K
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Expect: 0.654 on the Geometry3K test set (docs/algo/baseline.md of verl: this model, GRPO, Megatron, this script).
# Source: verl's examples/grpo_trainer/run_qwen2_5_vl_7b_megatron.sh of August 2026; token budget and rollout memory by
# the arithmetic below.
#
#   python data_prep/geo3k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2.5-vl-7b_megatron_geo3k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2.5-vl-7b_megatron_geo3k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2.5-vl-7b_megatron_geo3k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen2.5-VL-7B-Instruct}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/geo3k/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/geo3k/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=512}"    # 2,101 training rows make 4 steps an epoch
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}" # the diagram's tokens count
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=2048}"
    "data.image_patch_size=${IMAGE_PATCH_SIZE:=14}" # of the vision tower
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=128}" # 640 samples for 2 data-parallel groups
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.01}"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    # verl's own weights for Geometry3K
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:0.9,format:0.1}"
)

# Memory of the first stage, which has the vision tower: 7.6 B parameters of the language model at TP2 x PP2 x DP2 take
# 21.3 GiB with gradients and Adam, the 0.7 B of the tower 3.8. Nothing is recomputed: a micro batch of 12,288 tokens
# keeps 14.2 GiB in 14 layers, and two are under way: 56 GiB with CUDA and NCCL. Upstream's 24,576 would take 85.
ACTOR=(
    "model_engine=megatron"
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=${ACTOR_TP:=2}"   # 28 heads, 4 key-value heads
    "actor_rollout_ref.actor.megatron.pipeline_model_parallel_size=${ACTOR_PP:=2}" # 14 layers a stage
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=12288}" # 4 of the longest samples
    "actor_rollout_ref.actor.megatron.param_offload=${PARAM_OFFLOAD:=False}"
    "actor_rollout_ref.actor.megatron.optimizer_offload=${OPTIMIZER_OFFLOAD:=False}"
    "actor_rollout_ref.ref.megatron.param_offload=${REF_OFFLOAD:=True}" # it is used once a step
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=2}"
    # 40 GiB beside 28 of the trainer, whose states stay
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.5}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=3072}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}"
    "trainer.test_freq=${TEST_FREQ:=5}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
