#!/usr/bin/env bash
# GRPO | Qwen3-30B-A3B | Megatron | MATH
# Hardware: 1 node of 8 GPUs with 80 GB and 1 TB of memory. Time: not published.
# Source: verl's examples/grpo_trainer/run_qwen3moe-30b_megatron_96gb.sh of January 2026, tested on 1 to 4 such nodes
# of H20 (96 GB), and the layout for it in docs/perf/dpsk.md: 40 % MFU on one node. Group of 8 from today's script,
# whose own layout cannot be: EP2 x ETP4 x PP2 are 16 GPUs of 8, and its rollout EP2 is not TP4.
# Bridge: Megatron-Bridge, verl's default, has Qwen3MoeForCausalLM.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-30b-a3b_megatron_math.sh   check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-30b-a3b_megatron_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-30b-a3b_megatron_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-30B-A3B}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-512} # 14 steps an epoch of 7,496 rows
ROLLOUT_N=${ROLLOUT_N:-8}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-128}
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-8192}
REWARDS=${REWARDS:-correctness:1.0} # the published run also punished lengths above 4,096
ACTOR_LR=${ACTOR_LR:-1e-6}
LR_WARMUP_STEPS=${LR_WARMUP_STEPS:-10}
CLIP_RATIO_LOW=${CLIP_RATIO_LOW:-0.2}
CLIP_RATIO_HIGH=${CLIP_RATIO_HIGH:-0.28}
KL_LOSS_COEF=${KL_LOSS_COEF:-0} # no reference model
TOTAL_EPOCHS=${TOTAL_EPOCHS:-10}

# Memory: experts are 29.0 of 30.5 B parameters. At EP8 a GPU has 3.6 B of them and the other 1.5 B: 28.9 GiB for bf16
# weights and fp32 gradients. With Adam on the GPU it would be 71.5; on the host it takes 12 bytes each, 366 GB. A
# micro batch of 10,240 tokens: 17.4 GiB of logits, 1.9 kept, 3 for a layer whose experts are not evenly loaded: 54 GiB.
ACTOR_TP=${ACTOR_TP:-1}
ACTOR_EP=${ACTOR_EP:-8}
ACTOR_ETP=${ACTOR_ETP:-1}
RECOMPUTE_GRANULARITY=${RECOMPUTE_GRANULARITY:-full}
RECOMPUTE_METHOD=${RECOMPUTE_METHOD:-uniform}
RECOMPUTE_LAYERS=${RECOMPUTE_LAYERS:-1}
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-10240} # tokens a micro batch; one sample is at most 9,216
PARAM_OFFLOAD=${PARAM_OFFLOAD:-True}
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-True}
ROLLOUT_TP=${ROLLOUT_TP:-4}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # 48 GB: 15 of weights, 32 of cache; there 0.7 of 96

VAL_ROWS=${VAL_ROWS:-500}
VAL_TEMPERATURE=${VAL_TEMPERATURE:-0.6} # the model card forbids greedy decoding for thinking
VAL_TOP_P=${VAL_TOP_P:-0.95}
TEST_FREQ=${TEST_FREQ:-10}
SAVE_FREQ=${SAVE_FREQ:-50}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-1}

ACTOR=(
    "+actor_rollout_ref.actor.optim.override_optimizer_config.optimizer_cpu_offload=True"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.optimizer_offload_fraction=1.0"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.overlap_cpu_optimizer_d2h_h2d=True"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.use_precision_aware_optimizer=True" # the offload needs it
    "actor_rollout_ref.actor.clip_ratio_c=10.0"
    "actor_rollout_ref.actor.optim.weight_decay=0.1"
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_router_dtype=fp32"
)

launch::run "${ACTOR[@]}" "$@"
