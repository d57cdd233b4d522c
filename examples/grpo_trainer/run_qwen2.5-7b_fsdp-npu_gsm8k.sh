#!/usr/bin/env bash
# GRPO | Qwen2.5-7B-Instruct | FSDP2 on Ascend NPUs | GSM8K
# Hardware: 1 node of 16 NPUs with 64 GB (Atlas 200T A2 Box16; an Atlas 800T A3 counts its 8 cards
# twice). Time: not published.
# Differs from run_qwen2.5-7b_fsdp_gsm8k in: 16 devices, rollout TP4 at 0.3, 8,192 tokens a micro batch.
# Source: devices and rollout of verl's run_qwen2_5_7b_grpo_npu.sh of January 2026, the algorithm of the GPU recipe.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2.5-7b_fsdp-npu_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2.5-7b_fsdp-npu_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2.5-7b_fsdp-npu_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen2.5-7B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-16}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-1024}
ROLLOUT_N=${ROLLOUT_N:-5}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-256} # 1,280 samples an update, 80 an NPU
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-512}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-1024}
REWARDS=${REWARDS:-correctness:1.0} # 1 for the right number, else 0
ACTOR_LR=${ACTOR_LR:-1e-6}          # upstream: 5e-8, for 32 updates a step and 5 epochs
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}

# Memory: 7.6 B parameters x 16 bytes over 16 NPUs: 7.1 GiB. Inductor has no backend for Ascend, so that the entropy
# of the logits runs in eager mode: 14 instead of 8 bytes x 152,064 x 8,192 tokens, 16 GiB. Even if the sleeping
# engine gave back none of its 19 GiB (vLLM-Ascend issue 977), 50 of 64 would be in use.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-8192}
ROLLOUT_TP=${ROLLOUT_TP:-4}                           # as many as heads of keys and values
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.3} # 3.5 GiB of weights, 13 of KV cache: 940 k tokens an engine

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
