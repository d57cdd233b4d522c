#!/usr/bin/env bash
# GRPO | Qwen3-VL-8B-Instruct | Megatron | Geometry3K
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: verl's examples/grpo_trainer/run_qwen3_vl_8b_megatron.sh of August 2026, but for the patch size, which it
# leaves at 14; token budget and rollout memory by the arithmetic below.
#
#   python data_prep/geo3k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-vl-8b_megatron_geo3k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-vl-8b_megatron_geo3k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-vl-8b_megatron_geo3k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-VL-8B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

IMAGE_PATCH_SIZE=${IMAGE_PATCH_SIZE:-16} # pixels; a token of the prompt is two by two patches
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-2048} # longer answers are cut and score 0
TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-512}        # prompts a step: 60 steps in 15 epochs of 2,101 rows
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-128}  # prompts an update
ROLLOUT_N=${ROLLOUT_N:-5}                        # samples a prompt
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.01}
REWARDS=${REWARDS:-correctness:0.9,format:0.1} # verl's own weights for Geometry3K

# Memory of the first stage: the 8.2 B parameters of the language model at TP2 x PP2 x DP2 take 22.9 GiB with gradients
# and Adam, the 0.6 B of the vision tower 3.2. A micro batch of 12,288 tokens keeps 15.2 GiB in 18 layers without
# recomputation, and two are under way: 59 GiB with CUDA and NCCL.
ACTOR_TP=${ACTOR_TP:-2} # 32 heads, 8 key-value heads
ACTOR_PP=${ACTOR_PP:-2} # 18 layers a stage; DeepStack feeds layers of the first one only
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-12288}
PARAM_OFFLOAD=${PARAM_OFFLOAD:-False} # True, with the next one, if 80 GB are less than they seem
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-False}
REF_OFFLOAD=${REF_OFFLOAD:-True}
ROLLOUT_TP=${ROLLOUT_TP:-2}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.5} # 40 GiB: 8.2 for the weights at TP2

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
