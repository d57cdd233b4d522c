#!/usr/bin/env bash
# GRPO | Qwen2.5-72B-Instruct | FSDP2, LoRA | MATH
# Hardware: 1 node of 8 GPUs with 80 GB and 600 GB of memory. Time: 117 steps of 155 s in the published log.
# Expect: 0.732 on the MATH test set (Qwen2.5-72B-bsz64_8-prompt1024-resp512-score0.7319 of verl's published logs).
# Source: the command in that log. It measures every 5 steps, in batches of 64: 87 minutes each time, more than
# training. Its layered_summon is for FSDP1; FSDP2 gathers one adapter at a time.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2.5-72b_fsdp-lora_math.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2.5-72b_fsdp-lora_math.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2.5-72b_fsdp-lora_math.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen2.5-72B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

LORA_RANK=${LORA_RANK:-32} # on all linear layers
LORA_ALPHA=${LORA_ALPHA:-32}
ACTOR_LR=${ACTOR_LR:-3e-5}
TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-64}       # prompts a step
ROLLOUT_N=${ROLLOUT_N:-5}                      # the group: 320 samples a step
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-64} # one update a step, strictly on-policy
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-512} # 1.9 % of the answers were cut at the end, their mean was 288 tokens
REWARDS=${REWARDS:-correctness:1.0}             # 1 for an answer equal to the boxed one, else 0
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001}             # against the model without its adapter: no second copy
ENTROPY_COEFF=${ENTROPY_COEFF:-0.001}           # as published
TOTAL_EPOCHS=${TOTAL_EPOCHS:-1}

# Memory: 72.7 B frozen fp32 weights over 8 GPUs: 33.9 GiB. An update of 4,096 tokens adds 4.6 for logits,
# 5.0 of kept activations (80 layers), 1.7 for the live layer, 9.5 of gathered weights: 55 GiB; CUDA, NCCL
# and the sleeping engine 6.
# Host: 291 GB of fp32 weights while it generates, 145 GB of the engine's while it trains.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-4096}          # at least two samples; 8192 would take 66 GiB
PARAM_OFFLOAD=${PARAM_OFFLOAD:-True}                  # or 34 GiB would lie beside the engine's 32
ROLLOUT_TP=${ROLLOUT_TP:-8}                           # one engine
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.4} # 16.9 GiB of weights, 316 k tokens of KV cache
MAX_NUM_SEQS=${MAX_NUM_SEQS:-512}                     # all 320 samples at a time; verl's default is 256

TEST_FREQ=${TEST_FREQ:-40}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-1} # 291 GB each

launch::run "$@"
