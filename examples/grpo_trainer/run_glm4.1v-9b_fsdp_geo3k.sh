#!/usr/bin/env bash
# GRPO | GLM-4.1V-9B-Thinking | FSDP2 | Geometry3K
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: verl's examples/grpo_trainer/run_glm4_1v_9b_fsdp.sh of August 2026, with a token budget in place of its micro
# batches of 10 samples; memory by the arithmetic below.
# verl 0.9.1 as released cannot train it: its forward pass of glm4v takes the vision tower's output for a tensor, which
# the transformers that it asks for (5.5 or newer) wraps (verl/models/transformers/glm4v.py, _get_input_embeds).
#
#   python data_prep/geo3k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_glm4.1v-9b_fsdp_geo3k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_glm4.1v-9b_fsdp_geo3k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_glm4.1v-9b_fsdp_geo3k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-zai-org/GLM-4.1V-9B-Thinking}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-512}        # prompts a step: 4 steps an epoch, 60 in all
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-128}  # prompts an update: 4 updates a step
ROLLOUT_N=${ROLLOUT_N:-5}                        # samples a prompt
IMAGE_PATCH_SIZE=${IMAGE_PATCH_SIZE:-14}         # of the vision tower; a token of the prompt is 28 x 28 pixels
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}     # text and diagram
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-2048} # a thinking model: raise it if response_length/clip_ratio stays high
REWARDS=${REWARDS:-correctness:0.9,format:0.1}   # verl's own weights for Geometry3K
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.01}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}

# Memory: 10.3 B parameters, fp32 with Adam over 8 GPUs: 19.2 GiB a GPU, 24.0 at the optimizer step. A micro batch of
# 16,384 tokens: 5.0 GiB of kept activations (40 layers), at most 18.5 for logits of 151,552; 53 GiB in all.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-16384} # 5 of the longest samples
ROLLOUT_TP=${ROLLOUT_TP:-2}                   # the model has 2 key-value heads
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6}

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
