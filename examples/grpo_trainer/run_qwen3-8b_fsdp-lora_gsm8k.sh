#!/usr/bin/env bash
# GRPO | Qwen3-8B | FSDP2, LoRA | GSM8K
# Hardware: 1 node of 2 GPUs with 80 GB. Time: not published.
# Source: verl's tuning/lora/run_qwen3_8b_fsdp.sh, all but the length of responses: its 1,024 tokens are tight for a
# model that thinks first; 2,048 are those of verl's script for all weights.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-8b_fsdp-lora_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-8b_fsdp-lora_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-8b_fsdp-lora_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-8B}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-2}

LORA_RANK=${LORA_RANK:-64}                     # on all linear layers
LORA_ALPHA=${LORA_ALPHA:-32}                   # the adapter counts half
ACTOR_LR=${ACTOR_LR:-3e-6}                     # a tenth of the published runs' of rank 32
TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-64}       # prompts a step: 116 steps an epoch
ROLLOUT_N=${ROLLOUT_N:-5}                      # the group: samples a prompt
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-32} # two updates a step, 80 samples a GPU each
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-512}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-2048} # thoughts included
REWARDS=${REWARDS:-correctness:1.0}              # 1 for the right number, else 0
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001}              # against the model without its adapter
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}

# Memory: half of 8.2 B frozen fp32 weights: 15.3 GiB; the adapter's gradients and Adam: 1.3. 12,288 tokens:
# up to 13.9 of logits, 5.8 of activations, 3.4 of gathered weights: 40 GiB. Host: 16 GB for the sleeping
# engine's weights, each engine.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-12288} # four samples of full length
ROLLOUT_TP=${ROLLOUT_TP:-2}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # 48 GiB beside 16.6: 540 k tokens of KV cache

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
