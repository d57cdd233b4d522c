#!/usr/bin/env bash
# GRPO | Qwen3-8B | Megatron on Ascend NPUs | MATH
# Hardware: 1 node of 16 NPUs with 64 GB (Atlas 200T A2 Box16, Atlas 800T A3). Time: not published.
# Differs from run_qwen3-8b_megatron_math in: 16 devices, TP4 for training and rollout, the rollout's share of 0.4.
# Source: the GPU recipe, and the arithmetic below. verl has no recipe of a dense model on Megatron and NPUs but a
# test of Qwen3-0.6B (tests/special_npu/quick_start, TP2 x PP2); MindSpeed must be installed beside Megatron.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-8b_megatron-npu_math.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-8b_megatron-npu_math.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-8b_megatron-npu_math.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-8B}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-16}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-1024}
ROLLOUT_N=${ROLLOUT_N:-5}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-256} # 640 samples an update on each of two data-parallel ranks
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-4096}
REWARDS=${REWARDS:-correctness:1.0} # 1 for an answer equal to the boxed one, else 0
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}

# Memory at TP4 x PP2 x DP2: 1.02 B parameters an NPU, 12 bytes each: 11.4 GiB. 10,240 tokens, two micro batches
# in flight: 12.7 of activations; 27 GiB with CANN and HCCL, which fit even beside an engine that gives nothing
# back. At TP2 it would be 45.
ACTOR_TP=${ACTOR_TP:-4} # 8 heads of keys and values
ACTOR_PP=${ACTOR_PP:-2}
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-10240}
PARAM_OFFLOAD=${PARAM_OFFLOAD:-False}
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-False}
REF_OFFLOAD=${REF_OFFLOAD:-True}
ROLLOUT_TP=${ROLLOUT_TP:-4}                           # four engines, as on GPUs
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.4} # 26 GiB: 3.8 of weights, 547 k tokens of KV cache

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
