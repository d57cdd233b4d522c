#!/usr/bin/env bash
# GRPO | Qwen2-7B-Instruct | Megatron, LoRA | MATH
# Hardware: 1 node of 8 GPUs with 40 GB. Time: not published. Needs Megatron-Bridge, which verl's
# extra "megatron" has.
# Source: batches and TP4 from verl's run_qwen2-7b_math_megatron_lora.sh of January 2026; rank, alpha and learning
# rate from its current Megatron LoRA script (tuning/lora, Qwen3-30B-A3B). The older one has rank 256 at 1e-6,
# although verl's LoRA page advises a higher rate than for all weights.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2-7b_megatron-lora_math.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2-7b_megatron-lora_math.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2-7b_megatron-lora_math.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen2-7B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

LORA_RANK=${LORA_RANK:-32}                     # 71 M trained parameters
LORA_ALPHA=${LORA_ALPHA:-64}                   # the adapter counts twice
ACTOR_LR=${ACTOR_LR:-3e-6}                     # adapters want more than the 1e-6 of all weights
TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-128}      # prompts a step: 58 steps an epoch
ROLLOUT_N=${ROLLOUT_N:-4}                      # the group: samples a prompt
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-16} # eight updates a step, of 64 samples
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-1024}
REWARDS=${REWARDS:-correctness:1.0} # 1 for an answer equal to the boxed one, else 0
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001} # the reference is the same model without its adapter: no second copy
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}

# Memory: the frozen weights are 3.5 GiB of bf16 at TP4, without gradients or Adam; the adapter's are below 1 GiB.
# 8,192 tokens without recomputing: 9.5 GiB of activations, 2.3 of logits. With CUDA and NCCL 20 GiB.
ACTOR_TP=${ACTOR_TP:-4}
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-8192}
ROLLOUT_TP=${ROLLOUT_TP:-2}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # of 40: 24 GiB, 7.1 of them weights

TEST_FREQ=${TEST_FREQ:-10}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

MODEL=(
    "actor_rollout_ref.model.lora.lora_A_init_method=kaiming" # as PEFT does, so as the FSDP recipes; verl's is xavier
)

launch::run "${MODEL[@]}" "$@"
