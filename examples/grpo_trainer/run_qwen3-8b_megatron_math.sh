#!/usr/bin/env bash
# GRPO | Qwen3-8B | Megatron | MATH
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: verl's run_qwen3_8b_megatron.sh for batches, TP2 x PP2 and the rollout's TP2; responses of 4,096 tokens from
# its Qwen3-30B-A3B script on the same data. Upstream's 24,576 tokens a micro batch are 61 GiB of activations, as
# nothing is recomputed: more than 80 with the states; its 0.6 for the rollout leaves 6 GiB.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-8b_megatron_math.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-8b_megatron_math.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-8b_megatron_math.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-8B}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-1024}      # prompts a step: 7 steps an epoch
ROLLOUT_N=${ROLLOUT_N:-5}                       # the group: samples a prompt
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-256} # prompts an update
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-4096} # the model thinks first; a cut answer scores 0
REWARDS=${REWARDS:-correctness:1.0}              # 1 for an answer equal to the boxed one, else 0
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001} # k3 against the initial policy
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}

# Memory at TP2 x PP2 x DP2: 2.05 B parameters a GPU, 12 bytes each (bf16 weights, fp32 gradients, Adam and
# master weights split in two): 22.9 GiB. Of 10,240 tokens the first stage keeps 12.7 GiB for each of two micro
# batches in flight: 51 with 2.6 of CUDA and NCCL. Longer responses: RECOMPUTE_GRANULARITY=full
# RECOMPUTE_METHOD=uniform RECOMPUTE_LAYERS=1.
ACTOR_TP=${ACTOR_TP:-2}
ACTOR_PP=${ACTOR_PP:-2}                       # 18 of 36 layers each
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-10240} # two samples of full length
PARAM_OFFLOAD=${PARAM_OFFLOAD:-False}
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-False}
REF_OFFLOAD=${REF_OFFLOAD:-True} # 3.8 GiB, used once a step
ROLLOUT_TP=${ROLLOUT_TP:-2}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.5} # 40 GiB: 7.6 of weights, 428 k tokens of KV cache

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
