#!/usr/bin/env bash
# GRPO | Qwen2.5-VL-7B-Instruct | FSDP2, LoRA | Geometry3K
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: verl's examples/tuning/lora/run_qwen2_5_vl_7b_fsdp.sh of August 2026, but for free_cache_engine=False: an
# engine that keeps its 48 GiB during the update leaves too little for a full micro batch.
#
#   python data_prep/geo3k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2.5-vl-7b_fsdp-lora_geo3k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2.5-vl-7b_fsdp-lora_geo3k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2.5-vl-7b_fsdp-lora_geo3k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen2.5-VL-7B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

LORA_RANK=${LORA_RANK:-64}         # vLLM has slots of 1, 8, 16, 32, 64, 128, ...
LORA_ALPHA=${LORA_ALPHA:-32}       # the adapter counts half
ACTOR_LR=${ACTOR_LR:-3e-6}         # three times that of full training
KL_LOSS_COEF=${KL_LOSS_COEF:-0.01} # the reference is the base model, the adapter switched off: no second copy

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-512}       # prompts a step: 4 steps an epoch of 2,101 rows
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-128} # prompts an update: 4 updates a step
ROLLOUT_N=${ROLLOUT_N:-5}                       # the group: samples a prompt
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}    # text, and one token for each 28 x 28 pixels of the diagram
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-2048}
IMAGE_PATCH_SIZE=${IMAGE_PATCH_SIZE:-14}       # pixels, of the vision tower
REWARDS=${REWARDS:-correctness:0.9,format:0.1} # verl's own weights for Geometry3K
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}               # 60 steps

# Memory: the frozen 8.3 B parameters in fp32 over 8 GPUs take 3.9 GiB a GPU, the adapters' states 0.3. The rest is the
# micro batch: at 24,576 tokens up to 27.8 GiB of logits and 4.6 of kept activations; 42 GiB in all.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-24576}
ROLLOUT_TP=${ROLLOUT_TP:-2}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6}

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

MODEL=(
    "actor_rollout_ref.model.exclude_modules='.*visual.*'" # no adapter in the vision tower: it stays as it is
)

launch::run "${MODEL[@]}" "$@"
