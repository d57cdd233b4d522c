#!/usr/bin/env bash
# GRPO | Qwen3-30B-A3B | Megatron, LoRA | MATH
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: verl's examples/tuning/lora/run_qwen3_30b_a3b_megatron.sh, on GSM8K with the Instruct-2507 model, which does
# not think; this one does, so responses are eight times as long.
# Bridge: LoRA exists in Megatron-Bridge only, verl's default; adapters of experts need a version above 0.2 (verl pins
# 0.5.2).
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-30b-a3b_megatron-lora_math.sh   check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-30b-a3b_megatron-lora_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-30b-a3b_megatron-lora_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-30B-A3B}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-128} # 58 steps an epoch of 7,496 rows
ROLLOUT_N=${ROLLOUT_N:-4}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-16} # 8 updates a step
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-8192}
REWARDS=${REWARDS:-correctness:1.0}
ACTOR_LR=${ACTOR_LR:-3e-6}          # between full training's 1e-6 and ten times that, verl's advice for LoRA
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001} # the reference is the base without its adapter
TOTAL_EPOCHS=${TOTAL_EPOCHS:-5}

LORA_RANK=${LORA_RANK:-32}
LORA_ALPHA=${LORA_ALPHA:-64}

# Memory: the frozen weights at TP2 x PP2 x EP4 are 7.5 GiB in bf16, with neither gradients nor Adam. Each of the two
# GPUs that share a sample has at most 10,240 tokens: 8.7 GiB of logits of 75,968. So half of a GPU can
# be the rollout's.
ACTOR_TP=${ACTOR_TP:-2}
ACTOR_PP=${ACTOR_PP:-2}
ACTOR_CP=${ACTOR_CP:-2}
ACTOR_EP=${ACTOR_EP:-4}
ACTOR_ETP=${ACTOR_ETP:-1}
RECOMPUTE_GRANULARITY=${RECOMPUTE_GRANULARITY:-full}
RECOMPUTE_METHOD=${RECOMPUTE_METHOD:-uniform}
RECOMPUTE_LAYERS=${RECOMPUTE_LAYERS:-1}
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-10240} # a GPU: 20,480 a micro batch, two samples of full length
PARAM_OFFLOAD=${PARAM_OFFLOAD:-True}
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-True}
ROLLOUT_TP=${ROLLOUT_TP:-8}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.5} # 40 GB: 7.6 of weights, 32 of cache; 0.25 there, for 2,048 tokens

VAL_ROWS=${VAL_ROWS:-500}
VAL_TEMPERATURE=${VAL_TEMPERATURE:-0.6} # the model card forbids greedy decoding for thinking
VAL_TOP_P=${VAL_TOP_P:-0.95}
TEST_FREQ=${TEST_FREQ:-10}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

MODEL=("actor_rollout_ref.model.lora.lora_A_init_method=kaiming")

launch::run "${MODEL[@]}" "$@"
