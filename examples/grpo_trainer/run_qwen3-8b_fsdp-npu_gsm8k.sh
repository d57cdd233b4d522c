#!/usr/bin/env bash
# GRPO | Qwen3-8B | FSDP2 on Ascend NPUs | GSM8K
# Hardware: 1 node of 8 NPUs with 64 GB (Atlas 900 A2 PODc). Time: not published.
# Differs from run_qwen3-8b_fsdp_gsm8k in: rollout TP4 at 0.3, 8,192 tokens a micro batch.
# Source: rollout of the NPU branch of verl's run_qwen3_8b_fsdp.sh, the rest of the GPU recipe. That
# branch is a recipe of its own (16 prompts a step, 32,768 tokens of response, SP4, all offloaded) and
# replaces what its user sets.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-8b_fsdp-npu_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-8b_fsdp-npu_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-8b_fsdp-npu_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-8B}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-1024}
ROLLOUT_N=${ROLLOUT_N:-5}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-256} # prompts an update: 160 samples an NPU
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-512}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-2048}
REWARDS=${REWARDS:-correctness:1.0} # 1 for the right number, else 0
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}

# Memory: 8.2 B parameters x 16 bytes over 8 NPUs: 15.3 GiB, 19.1 in the optimizer step. Entropy of 8,192 tokens in
# eager mode, as NPUs have no Inductor: 16 GiB (14 bytes x 151,936 a token), 5 for layers: 39 with CANN and HCCL. At
# 2,560 tokens a sample neither offload nor SP is needed, even if the sleeping engine kept all of its 19 GiB.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-8192} # three samples of full length
ROLLOUT_TP=${ROLLOUT_TP:-4}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.3} # 3.8 GiB of weights, 360 k tokens of KV cache an engine

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
