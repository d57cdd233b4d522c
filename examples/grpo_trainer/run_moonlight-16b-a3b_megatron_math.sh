#!/usr/bin/env bash
# GRPO | Moonlight-16B-A3B-Instruct | Megatron | MATH
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: batches, lengths and KL of verl's examples/grpo_trainer/run_moonlight_16b_a3b_megatron.sh, which spreads the
# model over 3 nodes and needs weights converted beforehand; layout of slime's scripts/run-moonlight-16B-A3B.sh: one
# node.
# Bridge: Megatron-Bridge, verl's default, has DeepseekV3ForCausalLM, which this model is, and reads the published
# weights.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_moonlight-16b-a3b_megatron_math.sh   check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_moonlight-16b-a3b_megatron_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_moonlight-16b-a3b_megatron_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-moonshotai/Moonlight-16B-A3B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-192} # 39 steps an epoch of 7,496 rows
ROLLOUT_N=${ROLLOUT_N:-5}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-64}
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-2048}
REWARDS=${REWARDS:-correctness:1.0}
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}

# Memory: experts are 14.4 of 16.0 B parameters. At EP8 a GPU has 1.8 B of them at 18 bytes, and at TP4 0.4 B others at
# 12: 34.5 GiB with Adam, which slime puts on the host. A micro batch of 8,192 tokens: 0.2 GiB kept, 3.8 for logits of
# 40,960, 2 for the layer at work: 43 GiB with CUDA and NCCL.
ACTOR_TP=${ACTOR_TP:-4}
ACTOR_EP=${ACTOR_EP:-8}
ACTOR_ETP=${ACTOR_ETP:-1}
RECOMPUTE_GRANULARITY=${RECOMPUTE_GRANULARITY:-full}
RECOMPUTE_METHOD=${RECOMPUTE_METHOD:-uniform}
RECOMPUTE_LAYERS=${RECOMPUTE_LAYERS:-1}
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-8192} # tokens a micro batch; one sample is at most 3,072
PARAM_OFFLOAD=${PARAM_OFFLOAD:-True}
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-True}
REF_OFFLOAD=${REF_OFFLOAD:-True}
ROLLOUT_TP=${ROLLOUT_TP:-4}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # 48 GB: 8 of weights, 39 of cache: 1.2 M tokens

TEST_FREQ=${TEST_FREQ:-10}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-1} # 223 GB each, 14 bytes a parameter

DATA=("data.trust_remote_code=True") # the tokenizer is code that comes with the model
MODEL=("actor_rollout_ref.model.trust_remote_code=True")
# Megatron would move the routers' biases by 0.001 an update, away from those the rollout sampled with.
ACTOR=("+actor_rollout_ref.actor.megatron.override_transformer_config.moe_router_bias_update_rate=0.0")

launch::run "${DATA[@]}" "${MODEL[@]}" "${ACTOR[@]}" "$@"
