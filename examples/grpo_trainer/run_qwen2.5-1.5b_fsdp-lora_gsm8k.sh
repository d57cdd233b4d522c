#!/usr/bin/env bash
# GRPO | Qwen2.5-1.5B-Instruct | FSDP2, LoRA | GSM8K
# Hardware: one GPU with 24 GB. Time: 116 steps; the published log has 49 s a step on two GPUs, 39 of them
# generation without CUDA graphs.
# Expect: 0.779 on the GSM8K test set after the one epoch (verl's docs/algo/baseline.md, GRPO-LoRA).
# Source: the log behind that row, all numbers of the algorithm. It had two GPUs; memory for one is reckoned below.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2.5-1.5b_fsdp-lora_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2.5-1.5b_fsdp-lora_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2.5-1.5b_fsdp-lora_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen2.5-1.5B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-1}

LORA_RANK=${LORA_RANK:-32} # on all linear layers
LORA_ALPHA=${LORA_ALPHA:-32}
ACTOR_LR=${ACTOR_LR:-3e-5}                     # thirty times the one for all weights
TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-64}       # prompts a step
ROLLOUT_N=${ROLLOUT_N:-5}                      # the group: 320 samples a step
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-64} # one update a step, strictly on-policy
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-512}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-1024} # the mean is 219 tokens at the end, the longest 655
REWARDS=${REWARDS:-correctness:1.0}              # 1 for the right number, else 0
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001}              # against the model without its adapter
ENTROPY_COEFF=${ENTROPY_COEFF:-0.001}            # as published
TOTAL_EPOCHS=${TOTAL_EPOCHS:-1}

# Memory: the frozen weights stay fp32, 5.8 GiB; the adapter's gradients and Adam are half a GiB. 4,608 tokens of
# logits over 151,936 words take up to 5.2 GiB, layers and activations 1.6: 13 GiB, and 3 of the sleeping engine.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-4608}          # three samples of full length
ROLLOUT_TP=${ROLLOUT_TP:-1}                           # one GPU
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.4} # 9.6 GiB: 2.9 of weights, 139 k tokens of KV cache

TEST_FREQ=${TEST_FREQ:-10}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
