#!/usr/bin/env bash
# GRPO | Qwen3-30B-A3B | FSDP2 | MATH
# Hardware: 2 nodes of 8 GPUs with 80 GB, or 1 of 8 with 141 GB (NNODES=1). Time: not published.
# Source: verl's examples/grpo_trainer/run_qwen3_30b_a3b_fsdp.sh. It asks for one node: with 80 GB, 57 GiB of weights,
# gradients and Adam then meet 56 of logits, of its 32,768 tokens a micro batch.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-30b-a3b_fsdp_math.sh   check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-30b-a3b_fsdp_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-30b-a3b_fsdp_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-30B-A3B}
NNODES=${NNODES:-2}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-512} # 14 steps an epoch of 7,496 rows
ROLLOUT_N=${ROLLOUT_N:-8}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-128}
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}     # 2,048 there; MATH fits into half
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-8192} # 4,096 there; NeMo-RL's mean below 4,096 is 3,200
REWARDS=${REWARDS:-correctness:1.0}
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}

# Memory: 30.5 B parameters, fp32 with Adam over 16 GPUs: 28.4 GiB a GPU, 35.5 at the optimizer step. A micro batch of
# 10,240 tokens: 1.9 GiB of kept activations, at most 17.4 for logits of 151,936, 7 for three gathered layers of
# 0.6 B; 55 GiB in all. On one node of 141 GB it is 83.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-10240} # tokens a micro batch; one sample is at most 9,216
PARAM_OFFLOAD=${PARAM_OFFLOAD:-True}
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-True}
ROLLOUT_TP=${ROLLOUT_TP:-4}                           # 4 key-value heads
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # 48 GB: 15 of weights, 32 of cache: 24 KiB a token and GPU

VAL_ROWS=${VAL_ROWS:-500}
VAL_TEMPERATURE=${VAL_TEMPERATURE:-0.6} # the model card forbids greedy decoding for thinking
VAL_TOP_P=${VAL_TOP_P:-0.95}
TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-1} # 366 GB each, 12 bytes a parameter

launch::run "$@"
