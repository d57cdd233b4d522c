#!/usr/bin/env bash
# GRPO | Qwen3-30B-A3B | Megatron on Ascend NPUs | MATH
# Hardware: 1 node of 16 NPUs with 64 GB (Atlas A3). Time: not published.
# Source: algorithm as in the recipe for GPUs; TP2, ETP1, rollout TP8 and its 70 % as in verl's nightly test of this
# model on such a node (tests/special_npu/nightly_ci_ascend/run_gspo_qwen3_30b_megatron_npu.sh). Other than for GPUs:
# Adam stays on the 16 NPUs, which have room for it, and the older bridge.
# Bridge: mbridge, as in that test; of verl's nightly tests on NPUs only those of Qwen3.5 take Megatron-Bridge.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-30b-a3b_megatron-npu_math.sh   check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-30b-a3b_megatron-npu_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-30b-a3b_megatron-npu_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-30B-A3B}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-16}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-512} # 14 steps an epoch
ROLLOUT_N=${ROLLOUT_N:-8}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-128}
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-8192} # 2,048 in the test
REWARDS=${REWARDS:-correctness:1.0}
ACTOR_LR=${ACTOR_LR:-1e-6}
LR_WARMUP_STEPS=${LR_WARMUP_STEPS:-10}
CLIP_RATIO_LOW=${CLIP_RATIO_LOW:-0.2}
CLIP_RATIO_HIGH=${CLIP_RATIO_HIGH:-0.28}
KL_LOSS_COEF=${KL_LOSS_COEF:-0}  # and no reference model
TOTAL_EPOCHS=${TOTAL_EPOCHS:-10} # 140 steps

# Memory: at EP16 an NPU has 1.8 B parameters of experts at 18 bytes, and half of the other 1.5 B at 7.5: 35.8 GiB. At
# the test's EP8, made for half as many tokens, it is 45.9. Logits of 75,968 at 10,240 tokens: 8.7 GiB; 49 in all.
ACTOR_TP=${ACTOR_TP:-2}
ACTOR_EP=${ACTOR_EP:-16}
ACTOR_ETP=${ACTOR_ETP:-1}
RECOMPUTE_GRANULARITY=${RECOMPUTE_GRANULARITY:-full}
RECOMPUTE_METHOD=${RECOMPUTE_METHOD:-uniform}
RECOMPUTE_LAYERS=${RECOMPUTE_LAYERS:-1}
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-10240} # tokens a micro batch; one sample is at most 9,216
PARAM_OFFLOAD=${PARAM_OFFLOAD:-True}
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-True}
ROLLOUT_TP=${ROLLOUT_TP:-8}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.7} # 45 GB: 7.6 of weights, 37 of cache

VAL_ROWS=${VAL_ROWS:-500}               # of 5,000
VAL_TEMPERATURE=${VAL_TEMPERATURE:-0.6} # the model card forbids greedy decoding for thinking
VAL_TOP_P=${VAL_TOP_P:-0.95}
TEST_FREQ=${TEST_FREQ:-10}
SAVE_FREQ=${SAVE_FREQ:-50}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-1}

ACTOR=(
    "actor_rollout_ref.actor.clip_ratio_c=10.0"
    "actor_rollout_ref.actor.optim.weight_decay=0.1"
    "actor_rollout_ref.actor.megatron.vanilla_mbridge=True"
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_router_dtype=fp32"
)

launch::run "${ACTOR[@]}" "$@"
