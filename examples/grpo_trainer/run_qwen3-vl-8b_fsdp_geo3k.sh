#!/usr/bin/env bash
# GRPO | Qwen3-VL-8B-Instruct | FSDP2 | Geometry3K
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: verl's examples/grpo_trainer/run_qwen3_vl_8b_fsdp.sh of August 2026, but for the patch size, which it leaves
# at 14; memory by the arithmetic below.
#
#   python data_prep/geo3k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-vl-8b_fsdp_geo3k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-vl-8b_fsdp_geo3k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-vl-8b_fsdp_geo3k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen3-VL-8B-Instruct}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/geo3k/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/geo3k/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=512}"        # 4 steps an epoch of 2,101 rows
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"     # the diagram's tokens and the text
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=2048}" # longer answers are cut and score 0
    "data.image_patch_size=${IMAGE_PATCH_SIZE:=16}"         # pixels; two by two patches make one token of the prompt
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    # prompts an update; 640 samples, 80 a GPU
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=128}"
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.01}"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    # verl's own weights for Geometry3K
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:0.9,format:0.1}"
)

# Memory: 8.8 B parameters, fp32 with Adam over 8 GPUs: 16.3 GiB a GPU, 20.4 at the optimizer step. A micro batch of
# 24,576 tokens: 6.8 GiB of kept activations (36 layers), at most 27.8 for logits of 151,936; 60 GiB in all.
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=24576}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=2}"
    # 48 GiB: 8.2 of weights at TP2, the rest for the KV cache
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.6}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=3072}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}" # 60 steps
    "trainer.test_freq=${TEST_FREQ:=5}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
