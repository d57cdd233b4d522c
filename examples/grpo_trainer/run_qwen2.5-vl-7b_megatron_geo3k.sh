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

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen2.5-VL-7B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-512}       # prompts a step; 2,101 training rows make 4 steps an epoch
ROLLOUT_N=${ROLLOUT_N:-5}                       # samples a prompt
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-128} # prompts an update: 640 samples for 2 data-parallel groups
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}    # the diagram's tokens count
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-2048}
IMAGE_PATCH_SIZE=${IMAGE_PATCH_SIZE:-14}       # of the vision tower
REWARDS=${REWARDS:-correctness:0.9,format:0.1} # verl's own weights for Geometry3K
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.01}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}

# Memory of the first stage, which has the vision tower: 7.6 B parameters of the language model at TP2 x PP2 x DP2 take
# 21.3 GiB with gradients and Adam, the 0.7 B of the tower 3.8. Nothing is recomputed: a micro batch of 12,288 tokens
# keeps 14.2 GiB in 14 layers, and two are under way: 56 GiB with CUDA and NCCL. Upstream's 24,576 would take 85.
ACTOR_TP=${ACTOR_TP:-2}                       # 28 heads, 4 key-value heads
ACTOR_PP=${ACTOR_PP:-2}                       # 14 layers a stage
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-12288} # 4 of the longest samples
PARAM_OFFLOAD=${PARAM_OFFLOAD:-False}
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-False}
REF_OFFLOAD=${REF_OFFLOAD:-True} # it is used once a step
ROLLOUT_TP=${ROLLOUT_TP:-2}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.5} # 40 GiB beside 28 of the trainer, whose states stay

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
