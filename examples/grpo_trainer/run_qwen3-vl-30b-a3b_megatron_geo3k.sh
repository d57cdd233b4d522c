#!/usr/bin/env bash
# GRPO | Qwen3-VL-30B-A3B-Instruct | Megatron | Geometry3K
# Hardware: 1 node of 8 GPUs with 80 GB and 800 GB of host memory. Time: not published.
# Source: verl's examples/grpo_trainer/run_qwen3_vl_30b_a3b_megatron.sh of August 2026, in the layout that its header
# calls tested (TP4 EP8 without CP); without DeepEP, which is a package of its own. Memory by the arithmetic below.
#
#   python data_prep/geo3k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-vl-30b-a3b_megatron_geo3k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-vl-30b-a3b_megatron_geo3k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-vl-30b-a3b_megatron_geo3k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-VL-30B-A3B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-512} # prompts a step: 4 steps an epoch, 60 in all
ROLLOUT_N=${ROLLOUT_N:-5}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-128} # prompts an update: 640 samples for 2 data-parallel groups
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-2048}
IMAGE_PATCH_SIZE=${IMAGE_PATCH_SIZE:-16}       # of the vision tower; upstream leaves it at 14
REWARDS=${REWARDS:-correctness:0.9,format:0.1} # verl's own weights for Geometry3K
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.01}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}

# Memory: of 31.1 B parameters 29.0 B are experts, 16 of 128 a GPU at EP8, and 2.1 B are shared out by TP4: at most
# 4.6 B a GPU with a whole vision tower, 25 GiB of bf16 weights and fp32 gradients. Adam and the master weights, 12
# bytes a parameter, stay on the host: 347 GiB; weights and gradients go there too during the rollout.
ACTOR_TP=${ACTOR_TP:-4} # 32 heads, 4 key-value heads
ACTOR_EP=${ACTOR_EP:-8}
ACTOR_ETP=${ACTOR_ETP:-1}                            # unset it would be ACTOR_TP, and EP8 x ETP4 is more than 8 GPUs
RECOMPUTE_GRANULARITY=${RECOMPUTE_GRANULARITY:-full} # keep one activation a layer
RECOMPUTE_METHOD=${RECOMPUTE_METHOD:-uniform}
RECOMPUTE_LAYERS=${RECOMPUTE_LAYERS:-1}
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-8192} # logits of 151,936 over TP4: at most 2.3 GiB
PARAM_OFFLOAD=${PARAM_OFFLOAD:-True}
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-True}
REF_OFFLOAD=${REF_OFFLOAD:-True}
ROLLOUT_TP=${ROLLOUT_TP:-4}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.7} # 56 GiB: 14.5 for the weights at TP4

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

ACTOR=(
    # Adam on the host, as upstream has it: without it the experts' states alone are 41 GiB a GPU
    "+actor_rollout_ref.actor.optim.override_optimizer_config.optimizer_cpu_offload=True"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.optimizer_offload_fraction=1.0"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.overlap_cpu_optimizer_d2h_h2d=True"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.use_precision_aware_optimizer=True"
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_token_dispatcher_type=alltoall"
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_router_dtype=fp32"   # as upstream
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_aux_loss_coeff=0.01" # even load
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_z_loss_coeff=0.001"
)

launch::run "${ACTOR[@]}" "$@"
