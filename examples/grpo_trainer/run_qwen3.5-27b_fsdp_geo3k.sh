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

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3.5-27B}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-64}       # prompts a step: 32 steps an epoch of 2,101 rows
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-16} # prompts an update: 80 samples, 10 a GPU
ROLLOUT_N=${ROLLOUT_N:-5}                      # samples a prompt
IMAGE_PATCH_SIZE=${IMAGE_PATCH_SIZE:-16}       # pixels; a token of the prompt is 32 x 32 of them
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-2048}
REWARDS=${REWARDS:-correctness:0.9,format:0.1} # verl's own weights for Geometry3K
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.01}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15} # 480 steps

# Memory: 27.4 B parameters in fp32 with Adam would take 51 GiB a GPU, 64 at the optimizer step: they stay on the host,
# 408 GiB, with 51 for the reference model. On a GPU are at most the unsharded embeddings with their gradients, 19 GiB,
# two layers, 4, and for a micro batch of 8,192 tokens 15.2 of logits, 248,320 wide, and 5.0 of kept activations: 46.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-8192}          # more than two of the longest samples
ROLLOUT_TP=${ROLLOUT_TP:-4}                           # 24 heads, 4 key-value heads
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # 48 GiB: 12.7 for the weights at TP4

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-1} # 328 GB each

DATA=(
    "+data.apply_chat_template_kwargs.enable_thinking=False" # the task's own <think> is asked for in the prompt
)
ACTOR=(
    "actor_rollout_ref.actor.fsdp_config.offload_policy=True"        # FSDP2 keeps shards and Adam on the host
    "actor_rollout_ref.actor.entropy_from_logits_with_chunking=True" # no fp32 copy of all logits
)

launch::run "${DATA[@]}" "${ACTOR[@]}" "$@"
