#!/usr/bin/env bash
# GRPO | Qwen2-7B-Instruct | FSDP2 | MATH
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Expect: a MATH test score near 0.52. verl's published Megatron run on GSM8K and MATH together had 0.545 to 0.547 at
# steps 10 to 15 and ended at 0.518; MATH alone is not published.
# Source: verl's run_qwen2-7b_math.sh of January 2026, which trains on both data sets. That is here:
#   TRAIN_FILES=[data/gsm8k/train.parquet,data/math/train.parquet] and VAL_FILES likewise.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2-7b_fsdp_math.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2-7b_fsdp_math.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2-7b_fsdp_math.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen2-7B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-1024}       # prompts a step; 7,496 problems make 7 steps an epoch
ROLLOUT_N=${ROLLOUT_N:-5}                        # the group: samples a prompt
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-256}  # 1,280 samples an update, 160 a GPU
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}     # a few problems carry long drawings in Asymptote
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-1024} # 0.1 % are cut at the end of the published run
REWARDS=${REWARDS:-correctness:1.0}              # 1 for an answer equal to the boxed one, else 0
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15} # 105 steps

# Memory: fp32 weights, gradients and Adam of 7.6 B parameters: 14.2 GiB a GPU. The update: 3 GiB of
# activations kept by checkpointing, 4 for the live layer, up to 18.6 for logits (8 bytes x 152,064 x 16,384),
# 5 of gathered layers: 44 GiB.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-16384} # eight samples of full length
ROLLOUT_TP=${ROLLOUT_TP:-2}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # 48 + 14.2 GiB while it generates

TEST_FREQ=${TEST_FREQ:-5} # 5,000 problems; GSM8K's and these took the published run 106 s on 16 GPUs
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
