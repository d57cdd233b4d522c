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

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-VL-8B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

IMAGE_PATCH_SIZE=${IMAGE_PATCH_SIZE:-16}         # pixels; two by two patches make one token of the prompt
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}     # the diagram's tokens and the text
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-2048} # longer answers are cut and score 0
TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-512}        # prompts a step: 4 steps an epoch of 2,101 rows
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-128}  # prompts an update; 640 samples, 80 a GPU
ROLLOUT_N=${ROLLOUT_N:-5}                        # samples a prompt
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}                 # 60 steps
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.01}
REWARDS=${REWARDS:-correctness:0.9,format:0.1} # verl's own weights for Geometry3K

# Memory: 8.8 B parameters, fp32 with Adam over 8 GPUs: 16.3 GiB a GPU, 20.4 at the optimizer step. A micro batch of
# 24,576 tokens: 6.8 GiB of kept activations (36 layers), at most 27.8 for logits of 151,936; 60 GiB in all.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-24576}
ROLLOUT_TP=${ROLLOUT_TP:-2}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # 48 GiB: 8.2 of weights at TP2, the rest for the KV cache

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
