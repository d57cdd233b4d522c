#!/usr/bin/env bash
# GRPO | Mistral-Nemo-Instruct-2407 | FSDP2 | GSM8K
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: verl's examples/grpo_trainer/run_mistral_nemo_12b_skyworkrm_fsdp.sh of August 2026, with a rule in place of
# its reward model and the lengths of GSM8K; memory by the arithmetic below.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_mistral-nemo-12b_fsdp_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_mistral-nemo-12b_fsdp_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_mistral-nemo-12b_fsdp_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-mistralai/Mistral-Nemo-Instruct-2407}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-512}       # prompts a step: 14 steps an epoch of 7,473 rows
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-128} # prompts an update: 4 updates a step
ROLLOUT_N=${ROLLOUT_N:-5}                       # the group: samples a prompt
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-512}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-1024}
REWARDS=${REWARDS:-correctness:1.0} # 1 for the right number, else 0
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.0} # as upstream: no reference model
TOTAL_EPOCHS=${TOTAL_EPOCHS:-5}   # 70 steps

# Memory: 12.2 B parameters, fp32 with Adam over 8 GPUs: 22.8 GiB a GPU, 28.5 at the optimizer step. A micro batch of
# 16,384 tokens: 6.3 GiB of kept activations (40 layers), at most 16.0 for logits of 131,072; 56 GiB in all.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-16384}         # tokens a micro batch; one sample is at most 1,536
ROLLOUT_TP=${ROLLOUT_TP:-4}                           # 8 key-value heads of 128; 5.7 GiB of weights
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # 48 GiB beside 17.1 of fp32 weights and Adam states

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-14} # an epoch; a checkpoint with Adam states has 147 GB
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
