#!/usr/bin/env bash
# GRPO | Qwen2-7B-Instruct | Megatron | MATH
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published for this layout; the published run of GSM8K and MATH took
# 297 s a step on 16 GPUs at TP4 x PP2.
# Expect: a MATH test score near 0.52, where that run ended; its best was 0.547, at step 15.
# Source: verl's run_qwen2-7b_math_megatron.sh of January 2026 (TP2 x PP2), and the log behind docs/algo/baseline.md.
# It trains on GSM8K too; TRAIN_FILES=[data/gsm8k/train.parquet,data/math/train.parquet] does so.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2-7b_megatron_math.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2-7b_megatron_math.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2-7b_megatron_math.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen2-7B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-1024}      # prompts a step
ROLLOUT_N=${ROLLOUT_N:-5}                       # the group: samples a prompt
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-256} # prompts an update: about 27 micro batches a rank
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-1024} # answers average 230 to 240 tokens in the log
REWARDS=${REWARDS:-correctness:1.0}              # 1 for an answer equal to the boxed one, else 0
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001} # k3 against the initial policy
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}    # 105 steps

# Memory at TP2 x PP2 x DP2: a quarter of 7.6 B parameters, 12 bytes each (bf16 weights, fp32 gradients, Adam and
# master weights split in two): 21.3 GiB. Nothing is recomputed: of 8,192 tokens the first stage keeps 9.5 GiB for
# each of two micro batches in flight. With 2.6 GiB of CUDA and NCCL: 43 GiB.
ACTOR_TP=${ACTOR_TP:-2}
ACTOR_PP=${ACTOR_PP:-2}                      # 14 of 28 layers each
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-8192} # four samples of full length
PARAM_OFFLOAD=${PARAM_OFFLOAD:-False}
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-False}
REF_OFFLOAD=${REF_OFFLOAD:-True} # it works once a step; 3.5 GiB
ROLLOUT_TP=${ROLLOUT_TP:-2}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.5} # 40 GiB beside 24; upstream's 0.6 would leave 8 GiB of 80

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
