#!/usr/bin/env bash
# GRPO | GLM-4.5-Air 106B-A12B | Megatron | MATH
# Hardware: 8 nodes of 8 GPUs with 80 GB. Time: not published.
# Source: dapo/test_dapo_glm_air_megatron.sh of verl-recipe, for the base model on DAPO-Math-17k. Other than there:
# EP16 instead of EP8, and full recomputation, by the arithmetic below; its reference read weights from a path it did
# not set.
# Bridge: Megatron-Bridge, verl's default, has Glm4MoeForCausalLM, and keeps the routers' biases; the recipe used
# mbridge.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_glm4.5-air-106b-a12b_megatron_math.sh   check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_glm4.5-air-106b-a12b_megatron_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_glm4.5-air-106b-a12b_megatron_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-zai-org/GLM-4.5-Air}
NNODES=${NNODES:-8}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-512} # 14 steps an epoch of 7,496 rows
ROLLOUT_N=${ROLLOUT_N:-16}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-128}
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-8192}
REWARDS=${REWARDS:-correctness:1.0} # the recipe also punished lengths above 4,096
ACTOR_LR=${ACTOR_LR:-1e-6}
LR_WARMUP_STEPS=${LR_WARMUP_STEPS:-10}
CLIP_RATIO_LOW=${CLIP_RATIO_LOW:-0.2}
CLIP_RATIO_HIGH=${CLIP_RATIO_HIGH:-0.28}
KL_LOSS_COEF=${KL_LOSS_COEF:-0} # no reference model
TOTAL_EPOCHS=${TOTAL_EPOCHS:-10}

# Memory: experts are 99.7 of 106.9 B parameters. At EP16 x PP2 a GPU has 3.1 B of them at 12 bytes, and 1.8 B others at
# 6.75: 46.1 GiB; at EP8 63.5. The four GPUs that share samples have at most 10,240 tokens each: 8.7 GiB of logits of
# 75,776, 1.8 kept, 3 for the layer at work; with CUDA and NCCL 63 GiB.
ACTOR_TP=${ACTOR_TP:-2}
ACTOR_PP=${ACTOR_PP:-2} # 23 of the 46 layers each
ACTOR_CP=${ACTOR_CP:-4}
ACTOR_EP=${ACTOR_EP:-16}
ACTOR_ETP=${ACTOR_ETP:-1}
RECOMPUTE_GRANULARITY=${RECOMPUTE_GRANULARITY:-full}
RECOMPUTE_METHOD=${RECOMPUTE_METHOD:-uniform}
RECOMPUTE_LAYERS=${RECOMPUTE_LAYERS:-1}
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-10240} # a GPU: 40,960 a micro batch, four samples of full length
PARAM_OFFLOAD=${PARAM_OFFLOAD:-True}
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-True}
ROLLOUT_TP=${ROLLOUT_TP:-8}                           # 8 key-value heads
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.5} # 40 GB: 27 of weights, 12 of cache: 500,000 tokens

VAL_ROWS=${VAL_ROWS:-500}
VAL_TEMPERATURE=${VAL_TEMPERATURE:-1.0}
VAL_TOP_P=${VAL_TOP_P:-0.7}
TEST_FREQ=${TEST_FREQ:-10}
SAVE_FREQ=${SAVE_FREQ:-50}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-1} # 1.5 TB each, 14 bytes a parameter

ACTOR=(
    "actor_rollout_ref.actor.clip_ratio_c=10.0"
    "actor_rollout_ref.actor.optim.weight_decay=0.1"
)

launch::run "${ACTOR[@]}" "$@"
