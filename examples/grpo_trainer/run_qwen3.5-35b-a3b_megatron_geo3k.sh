#!/usr/bin/env bash
# GRPO | Qwen3.5-35B-A3B | Megatron | Geometry3K
# Hardware: 1 node of 8 GPUs with 80 GB and 900 GB of host memory. Time: not published.
# Source: layout and batches from verl's examples/grpo_trainer/run_qwen3_5_35b_megatron.sh of August 2026; memory by the
# arithmetic below. Upstream pads its samples, as Megatron-Core before 0.18 has no packed linear attention.
# Needs megatron-core 0.18 or newer, Megatron-Bridge 0.5 or newer, flash-linear-attention. Unproven: not run in this
# form; verl's published runs of this model with packed samples have text only (docs/advance/v1_async_trainer.md).
#
#   python data_prep/geo3k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3.5-35b-a3b_megatron_geo3k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3.5-35b-a3b_megatron_geo3k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3.5-35b-a3b_megatron_geo3k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3.5-35B-A3B}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-32}       # prompts a step: 65 steps an epoch of 2,101 rows
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-32} # = the train batch: one update a step, strictly on-policy
ROLLOUT_N=${ROLLOUT_N:-5}
IMAGE_PATCH_SIZE=${IMAGE_PATCH_SIZE:-16} # of the vision tower; upstream leaves it at 14
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-2048}
REWARDS=${REWARDS:-correctness:0.9,format:0.1} # verl's own weights for Geometry3K
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.01}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}

# Memory: of 35.1 B parameters 32.2 B are experts, 32 of 256 a GPU at EP8, and TP2 halves most of the other 2.9 B: at
# most 5.7 B a GPU, 32 GiB of bf16 weights and fp32 gradients. Adam and the master weights stay on the host: 392 GiB.
ACTOR_TP=${ACTOR_TP:-2} # 16 heads, 2 key-value heads
ACTOR_EP=${ACTOR_EP:-8}
ACTOR_ETP=${ACTOR_ETP:-1}                            # unset it would be ACTOR_TP, and EP8 x ETP2 is more than 8 GPUs
RECOMPUTE_GRANULARITY=${RECOMPUTE_GRANULARITY:-full} # keep one activation a layer
RECOMPUTE_METHOD=${RECOMPUTE_METHOD:-uniform}
RECOMPUTE_LAYERS=${RECOMPUTE_LAYERS:-1}
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-8192} # logits of 248,320 over TP2: at most 7.6 GiB
PARAM_OFFLOAD=${PARAM_OFFLOAD:-True}         # to the host during the rollout
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-True}
REF_OFFLOAD=${REF_OFFLOAD:-True}
ROLLOUT_TP=${ROLLOUT_TP:-8}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # 48 GiB: 8.2 for the weights at TP8

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-1}

DATA=(
    "+data.apply_chat_template_kwargs.enable_thinking=False" # the task's own <think> is asked for in the prompt
)
ACTOR=(
    # Adam on the host, as upstream has it: the experts' states alone are 45 GiB a GPU
    "+actor_rollout_ref.actor.optim.override_optimizer_config.optimizer_cpu_offload=True"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.optimizer_offload_fraction=1.0"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.overlap_cpu_optimizer_d2h_h2d=True"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.use_precision_aware_optimizer=True"
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_token_dispatcher_type=alltoall"
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_aux_loss_coeff=0.01" # even load
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_z_loss_coeff=0.001"
)

launch::run "${DATA[@]}" "${ACTOR[@]}" "$@"
