#!/usr/bin/env bash
# GRPO | Llama-3.1-8B-Instruct | FSDP2 | GSM8K
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: verl has no recipe for this model on a rule-based reward. Algorithm and batches are those of its published
# Qwen2-7B run on GSM8K (docs/algo/baseline.md); memory by the arithmetic below.
# The weights are gated: accept Meta's licence on the hub and set HF_TOKEN, or set MODEL_PATH to a folder.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_llama3.1-8b_fsdp_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_llama3.1-8b_fsdp_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_llama3.1-8b_fsdp_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-meta-llama/Llama-3.1-8B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-512}      # Llama's template adds a system message with the date
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-1024} # longer answers are cut and score 0
TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-1024}       # prompts a step: 7 steps an epoch, 105 in all
ROLLOUT_N=${ROLLOUT_N:-5}                        # the group: samples a prompt
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-256}  # prompts an update: 1,280 samples, 160 a GPU
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001}
REWARDS=${REWARDS:-correctness:1.0} # 1 for the right number, with or without the asked "####"

# Memory: 8.0 B parameters, fp32 with Adam over 8 GPUs: 15.0 GiB a GPU, 18.7 at the optimizer step. A micro batch of
# 16,384 tokens: 4.0 GiB of kept activations (32 layers), at most 15.7 for logits of 128,256; 43 GiB in all.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-16384}
ROLLOUT_TP=${ROLLOUT_TP:-2}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # 48 GiB: 7.5 of weights at TP2, the rest for the KV cache

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
