#!/usr/bin/env bash
# GRPO | Qwen2.5-3B-Instruct | FSDP2, LoRA | GSM8K
# Hardware: 1 node of 2 GPUs with 24 GB. Time: 116 steps of 79 s in the published log, 61 of them generation without
# CUDA graphs; its validation took 14 minutes each time.
# Expect: 0.861 on the GSM8K test set (verl's docs/algo/baseline.md, GRPO-LoRA).
# Source: the log behind that row. Upstream's later script for this model has rank 64 at 3e-6 and no published score.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2.5-3b_fsdp-lora_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2.5-3b_fsdp-lora_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2.5-3b_fsdp-lora_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen2.5-3B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-2}

LORA_RANK=${LORA_RANK:-32} # on all linear layers
LORA_ALPHA=${LORA_ALPHA:-32}
ACTOR_LR=${ACTOR_LR:-3e-5}
TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-64}       # prompts a step: 116 steps an epoch
ROLLOUT_N=${ROLLOUT_N:-5}                      # the group: samples a prompt
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-64} # one update a step, 160 samples a GPU
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-512}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-1024} # answers average 304 tokens
REWARDS=${REWARDS:-correctness:1.0}              # 1 for the right number, else 0
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001}              # against the model without its adapter
ENTROPY_COEFF=${ENTROPY_COEFF:-0.001}            # as published
TOTAL_EPOCHS=${TOTAL_EPOCHS:-1}

# Memory: half of 3.1 B fp32 weights, 5.7 GiB a GPU; update of 4,608 tokens: up to 5.2 GiB of logits, 2.2 of layers
# and activations; 3 of CUDA and NCCL, 3 of the sleeping engine: 19 GiB. Host: embeddings are tied, so each of the two
# ranks reads all of the model in fp32, 25 GB.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-4608}
ROLLOUT_TP=${ROLLOUT_TP:-2}                           # as published: at TP1 the KV cache would have 1 GiB
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.4} # 9.6 GiB: 2.9 of weights, 217 k tokens of KV cache

TEST_FREQ=${TEST_FREQ:-10} # the published run: 5
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
