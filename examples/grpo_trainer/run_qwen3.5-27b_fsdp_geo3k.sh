#!/usr/bin/env bash
# GRPO | Qwen3.5-27B | FSDP2 | Geometry3K
# Hardware: 1 node of 8 GPUs with 80 GB and 600 GB of host memory. Time: not published.
# Source: verl's examples/grpo_trainer/run_qwen3_5_27b_fsdp.sh of August 2026, with a token budget in place of micro
# batches of one sample, the vision tower's patch size, and without thinking; memory by the arithmetic below.
# Needs the package flash-linear-attention: without it packed samples leak into each other, and no error says so.
#
#   python data_prep/geo3k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3.5-27b_fsdp_geo3k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3.5-27b_fsdp_geo3k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3.5-27b_fsdp_geo3k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen3.5-27B}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/geo3k/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/geo3k/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=64}" # 32 steps an epoch of 2,101 rows
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=2048}"
    "data.image_patch_size=${IMAGE_PATCH_SIZE:=16}" # pixels; a token of the prompt is 32 x 32 of them
    "data.filter_overlong_prompts=True"
    "+data.apply_chat_template_kwargs.enable_thinking=False" # the task's own <think> is asked for in the prompt
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=16}" # 80 samples, 10 a GPU
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.01}"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    # verl's own weights for Geometry3K
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:0.9,format:0.1}"
)

# Memory: 27.4 B parameters in fp32 with Adam would take 51 GiB a GPU, 64 at the optimizer step: they stay on the host,
# 408 GiB, with 51 for the reference model. On a GPU are at most the unsharded embeddings with their gradients, 19 GiB,
# two layers, 4, and for a micro batch of 8,192 tokens 15.2 of logits, 248,320 wide, and 5.0 of kept activations: 46.
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    # more than two of the longest samples
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=8192}"
    "actor_rollout_ref.actor.fsdp_config.offload_policy=True"        # FSDP2 keeps shards and Adam on the host
    "actor_rollout_ref.actor.entropy_from_logits_with_chunking=True" # no fp32 copy of all logits
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=4}" # 24 heads, 4 key-value heads
    # 48 GiB: 12.7 for the weights at TP4
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.6}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=3072}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}" # 480 steps
    "trainer.test_freq=${TEST_FREQ:=5}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=1}" # 328 GB each
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
