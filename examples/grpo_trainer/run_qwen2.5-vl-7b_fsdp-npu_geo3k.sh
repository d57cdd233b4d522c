#!/usr/bin/env bash
# GRPO | Qwen2.5-VL-7B-Instruct | FSDP2 on Ascend NPUs | Geometry3K
# Hardware: 1 node of 16 NPUs with 64 GB (Atlas 800T A3, or 200T A2 Box16). Time: not published.
# Source: the NPU branch of verl's examples/grpo_trainer/run_qwen2_5_vl_7b_fsdp.sh of August 2026. Beside the devices
# only memory differs from run_qwen2.5-vl-7b_fsdp_geo3k: half of an NPU for the rollout, a third of the token budget.
#
#   python data_prep/geo3k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2.5-vl-7b_fsdp-npu_geo3k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2.5-vl-7b_fsdp-npu_geo3k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2.5-vl-7b_fsdp-npu_geo3k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen2.5-VL-7B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-16} # an A3 card counts as two

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-512} # prompts a step: 60 steps in 15 epochs
ROLLOUT_N=${ROLLOUT_N:-5}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-128} # prompts an update: 640 samples, 40 an NPU
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-2048}
IMAGE_PATCH_SIZE=${IMAGE_PATCH_SIZE:-14}       # of the vision tower
REWARDS=${REWARDS:-correctness:0.9,format:0.1} # verl's own weights for Geometry3K
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.01}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}

# Memory, should a sleeping engine give nothing back (vllm-ascend issue 977): it keeps 32 GB; 8.3 B parameters, fp32
# with Adam over 16 NPUs, take 10.4 GB at the optimizer step; a micro batch of 8,192 tokens takes at most 10.0 GB of
# logits, 1.6 of kept activations and 2.2 of unsharded embeddings: 59 GB with 3 for the runtime.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-8192} # more than two of the longest samples
ROLLOUT_TP=${ROLLOUT_TP:-2}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.5}

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
