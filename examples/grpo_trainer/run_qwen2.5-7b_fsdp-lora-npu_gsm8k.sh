#!/usr/bin/env bash
# GRPO | Qwen2.5-7B-Instruct | FSDP2, LoRA, on Ascend NPUs | GSM8K
# Hardware: 1 node of 8 NPUs with 64 GB (Atlas 900 A2 PODc). Time: not published; verl has no LoRA run on NPUs. On
# 8 GPUs a step took 45 s.
# Expect: 0.934 on the GSM8K test set, the published score of these numbers on GPUs.
# Source: the log behind GRPO-LoRA of Qwen2.5-7B in verl's docs/algo/baseline.md; NPU memory by the arithmetic below.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2.5-7b_fsdp-lora-npu_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2.5-7b_fsdp-lora-npu_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2.5-7b_fsdp-lora-npu_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen2.5-7B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

LORA_RANK=${LORA_RANK:-32} # on all linear layers
LORA_ALPHA=${LORA_ALPHA:-32}
ACTOR_LR=${ACTOR_LR:-3e-5}
TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-64}       # prompts a step: 116 steps
ROLLOUT_N=${ROLLOUT_N:-5}                      # the group: samples a prompt
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-64} # one update a step: 40 samples an NPU
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-512}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-1024}
REWARDS=${REWARDS:-correctness:1.0}   # 1 for the right number, else 0
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001}   # against the model without its adapter
ENTROPY_COEFF=${ENTROPY_COEFF:-0.001} # as published
TOTAL_EPOCHS=${TOTAL_EPOCHS:-1}

# Memory: 7.6 B frozen fp32 weights over 8 NPUs: 3.5 GiB; gradients and Adam of the adapter: 0.2. The entropy of 8,192
# tokens in eager mode: 16 GiB (14 bytes x 152,064 a token); activations, live layer and gathered layers: 7.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-8192}
ROLLOUT_TP=${ROLLOUT_TP:-2}                           # as published
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.3} # 19 GiB: 7.1 of weights, 341 k tokens of KV cache

TEST_FREQ=${TEST_FREQ:-10}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
