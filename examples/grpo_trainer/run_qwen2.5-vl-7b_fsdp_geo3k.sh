#!/usr/bin/env bash
# GRPO | Qwen2.5-VL-7B-Instruct | FSDP2 | Geometry3K
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: verl's examples/grpo_trainer/run_qwen2_5_vl_7b_fsdp.sh of August 2026; memory by the arithmetic below.
# The vision tower is trained with the rest: verl 0.9.1 has no working key that freezes it.
#
#   python data_prep/geo3k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2.5-vl-7b_fsdp_geo3k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2.5-vl-7b_fsdp_geo3k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2.5-vl-7b_fsdp_geo3k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen2.5-VL-7B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-512}        # prompts a step; 2,101 training rows make 4 steps an epoch
ROLLOUT_N=${ROLLOUT_N:-5}                        # the group: samples a prompt
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-128}  # prompts an update: 4 updates a step
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}     # of these, one token for each 28 x 28 pixels of the diagram
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-2048} # it thinks before it answers
IMAGE_PATCH_SIZE=${IMAGE_PATCH_SIZE:-14}         # the vision tower's; the filter of long prompts counts with it
REWARDS=${REWARDS:-correctness:0.9,format:0.1}   # verl's own weights for Geometry3K
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.01} # ten times that of the text recipes
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}   # 60 steps

# Memory: 8.3 B parameters with fp32 weights, gradients and Adam over 8 GPUs take 15.4 GiB a GPU, 19.3 at the optimizer
# step. In a micro batch of 24,576 tokens the logits, 152,064 wide, take 7.0 GiB in bf16 and up to 27.8 with their fp32
# copy and gradient, the kept activations 4.6: 57 GiB in all, while the rollout engine sleeps.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-24576} # tokens a micro batch: 8 of the longest samples
ROLLOUT_TP=${ROLLOUT_TP:-2}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # 48 GiB, beside 11.6 of weights and Adam states

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
