#!/usr/bin/env bash
# GRPO | Qwen2.5-7B-Instruct | FSDP2 | GSM8K
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Expect: published for this model on the GSM8K test set is 0.934, GRPO with LoRA; all weights with GRPO is not.
# Source: verl has had this model on NPUs (run_qwen2_5_7b_grpo_npu.sh) and on Megatron, January 2026.
# Batches are of the latter, lengths of its GSM8K runs. The NPU script's learning rate of 5e-8 with 32
# updates a step is not followed.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2.5-7b_fsdp_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2.5-7b_fsdp_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2.5-7b_fsdp_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen2.5-7B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-1024}      # prompts a step, 105 steps in all
ROLLOUT_N=${ROLLOUT_N:-5}                       # the group: samples a prompt
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-256} # prompts an update
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-512}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-1024}
REWARDS=${REWARDS:-correctness:1.0} # 1 for the right number, else 0; add format:0.2 if "#### 42" matters
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001} # k3 against the initial policy
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}    # the model starts high: the first two decide most

# Memory: 7.6 B parameters x 16 bytes over 8 GPUs: 14.2 GiB, 17.7 in the optimizer step. 16,384 tokens: logits up to
# 18.6 GiB, kept activations 3.1, the live layer 3.6, gathered weights and gradients 4.6; 44 GiB in the update.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-16384}
ROLLOUT_TP=${ROLLOUT_TP:-2}                           # four engines
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # 48 GiB: 7.1 of weights, 38 of KV cache

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
