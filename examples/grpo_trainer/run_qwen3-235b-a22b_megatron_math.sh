#!/usr/bin/env bash
# GRPO | Qwen3-235B-A22B | Megatron | MATH
# Hardware: 8 nodes of 8 GPUs with 80 GB and 1 TB of memory. Time: not published for verl.
# Source: verl's examples/grpo_trainer/run_qwen3_235b_a22b_megatron.sh and its table of layouts (docs/perf/dpsk.md).
# The script's layout cannot be: without ETP1, EP4 x ETP4 x PP8 are 128 GPUs of 64, and its rollout EP64 is not TP8 x
# DP1. Rollout TP of NeMo-RL's recipe for this model (grpo-qwen3-235b-16n8g.yaml).
# Bridge: Megatron-Bridge, verl's default, has Qwen3MoeForCausalLM.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-235b-a22b_megatron_math.sh   check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-235b-a22b_megatron_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-235b-a22b_megatron_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-235B-A22B}
NNODES=${NNODES:-8}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-128} # 58 steps an epoch of 7,496 rows
ROLLOUT_N=${ROLLOUT_N:-16}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-128} # one update a step
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-8192} # its thoughts average 5,700 tokens (NeMo-RL, performance summary)
REWARDS=${REWARDS:-correctness:1.0}              # 1 if the boxed answer is right, else 0
ACTOR_LR=${ACTOR_LR:-1e-6}
LR_WARMUP_STEPS=${LR_WARMUP_STEPS:-10} # with the decay of 0.1 below, of its predecessor run_qwen3-235b_megatron_96gb.sh
CLIP_RATIO_LOW=${CLIP_RATIO_LOW:-0.2}
CLIP_RATIO_HIGH=${CLIP_RATIO_HIGH:-0.28}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-1} # as there

# Memory: experts are 227 of 235 B parameters, 3.5 B a GPU at EP8 x PP8: 21.2 GiB for bf16 weights and fp32 gradients;
# the table's EP4, meant for 96 GB, makes it 41.1. Adam on the host: 353 GB a node. A micro batch of 10,240 tokens:
# 1.9 GiB kept for 8 in flight, 4.3 for logits of 37,984, 10 for CUDA and the many NCCL groups: 38 GiB.
ACTOR_TP=${ACTOR_TP:-4}
ACTOR_PP=${ACTOR_PP:-8} # 94 layers: 11 in the first and last stage, which hold the embeddings, 12 in the others
ACTOR_EP=${ACTOR_EP:-8}
ACTOR_ETP=${ACTOR_ETP:-1}
RECOMPUTE_GRANULARITY=${RECOMPUTE_GRANULARITY:-full}
RECOMPUTE_METHOD=${RECOMPUTE_METHOD:-uniform}
RECOMPUTE_LAYERS=${RECOMPUTE_LAYERS:-1}
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-10240} # tokens a micro batch; one sample is at most 9,216
PARAM_OFFLOAD=${PARAM_OFFLOAD:-True}
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-True}
ROLLOUT_TP=${ROLLOUT_TP:-16}                          # at 8, the weights are 59 of 80 GB
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # 48 GB: 29 of weights, 18 of cache: 380,000 tokens

VAL_ROWS=${VAL_ROWS:-500}               # of 5,000: a quarter of a step's samples
VAL_TEMPERATURE=${VAL_TEMPERATURE:-0.6} # the model card forbids greedy decoding for thinking
VAL_TOP_P=${VAL_TOP_P:-0.95}
TEST_FREQ=${TEST_FREQ:-20}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-1} # 3.3 TB each, 14 bytes a parameter

ACTOR=(
    "+actor_rollout_ref.actor.optim.override_optimizer_config.optimizer_cpu_offload=True"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.optimizer_offload_fraction=1.0"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.overlap_cpu_optimizer_d2h_h2d=True"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.use_precision_aware_optimizer=True" # the offload needs it
    "actor_rollout_ref.actor.optim.weight_decay=0.1"
    "+actor_rollout_ref.actor.megatron.override_transformer_config.num_layers_in_first_pipeline_stage=11"
    "+actor_rollout_ref.actor.megatron.override_transformer_config.num_layers_in_last_pipeline_stage=11"
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_router_dtype=fp32"
)

launch::run "${ACTOR[@]}" "$@"
