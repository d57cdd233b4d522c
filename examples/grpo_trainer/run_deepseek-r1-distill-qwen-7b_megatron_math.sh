#!/usr/bin/env bash
# GRPO | DeepSeek-R1-Distill-Qwen-7B | Megatron | MATH
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: algorithm of Skywork-OR1's or1_scripts/train/7b_8k.sh for this model; parallel layout of verl's published
# Megatron baseline for Qwen2-7B, which has the same shape (28 layers, 28 and 4 heads); memory by the arithmetic
# below.
# Bridge: Megatron-Bridge, verl's default, has Qwen2ForCausalLM, which this model is.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-7b_megatron_math.sh   check, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-7b_megatron_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-7b_megatron_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-deepseek-ai/DeepSeek-R1-Distill-Qwen-7B}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-256} # 4,096 samples a step
ROLLOUT_N=${ROLLOUT_N:-16}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-256} # one update a step
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-8192} # thought and answer
TEMPERATURE=${TEMPERATURE:-1.0}                  # 0.6 in DeepScaleR's recipe
REWARDS=${REWARDS:-correctness:1.0}
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0} # no reference model
TOTAL_EPOCHS=${TOTAL_EPOCHS:-5} # of 29 steps

# Memory: 7.6 B parameters at TP2 x PP2 x DP2, 12 bytes each: 21.3 GiB a GPU. Without recomputation 18,432 tokens would
# keep 29 GiB of activations; with it 1.7, and 1.0 for the layer at work. fp32 logits of 76,032: 15.7. With 2.6 of CUDA
# and NCCL 42 GiB.
ACTOR_TP=${ACTOR_TP:-2}
ACTOR_PP=${ACTOR_PP:-2}
RECOMPUTE_GRANULARITY=${RECOMPUTE_GRANULARITY:-full}
RECOMPUTE_METHOD=${RECOMPUTE_METHOD:-uniform}
RECOMPUTE_LAYERS=${RECOMPUTE_LAYERS:-1}
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-18432} # two samples of full length
PARAM_OFFLOAD=${PARAM_OFFLOAD:-True}
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-True}
ROLLOUT_TP=${ROLLOUT_TP:-1}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.7} # 56 GB: 15 of weights, 40 of cache

VAL_ROWS=${VAL_ROWS:-500}               # of 5,000
VAL_TEMPERATURE=${VAL_TEMPERATURE:-0.6} # greedy decoding repeats itself without end, says the model card
VAL_TOP_P=${VAL_TOP_P:-0.95}
TEST_FREQ=${TEST_FREQ:-10}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
