#!/usr/bin/env bash
# GRPO | DeepSeek-LLM-7B-Chat | Megatron | MATH
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: verl's last recipe for it, examples/grpo_trainer/run_deepseek7b_llm_math_megatron.sh of January 2026, which
# trained on GSM8K as well and asked for 16 GPUs in one node. For both data sets:
#   TRAIN_FILES=[data/gsm8k/train.parquet,data/math/train.parquet]
#   VAL_FILES=[data/gsm8k/test.parquet,data/math/test.parquet]
# Bridge: Megatron-Bridge, verl's default, has LlamaForCausalLM, which this model is.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_deepseek-llm-7b_megatron_math.sh   check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_deepseek-llm-7b_megatron_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_deepseek-llm-7b_megatron_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-deepseek-ai/deepseek-llm-7b-chat}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-1024} # 7 steps an epoch of 7,496 rows
ROLLOUT_N=${ROLLOUT_N:-5}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-256}
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-1024}
REWARDS=${REWARDS:-correctness:1.0} # the boxed answer is right
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}

# Memory: 6.9 B parameters at TP2 x PP2 x DP2, 12 bytes each: 19.3 GiB a GPU. A micro batch of 8,192 tokens without
# recomputation: 15.9 GiB of activations (34 x tokens x 4,096 bytes a layer over TP2, 15 layers, 2 in flight) and 4.7
# of fp32 logits of 51,200; with 2.6 GiB of CUDA and NCCL 43 GiB. At 16,384 tokens it would be 63.
ACTOR_TP=${ACTOR_TP:-2}
ACTOR_PP=${ACTOR_PP:-2}                      # 15 of the 30 layers each
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-8192} # tokens a micro batch; one sample is at most 2,048
PARAM_OFFLOAD=${PARAM_OFFLOAD:-True}
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-True}
REF_OFFLOAD=${REF_OFFLOAD:-True}
ROLLOUT_TP=${ROLLOUT_TP:-2}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # 48 GB: 7 of weights, 41 of cache: 170,000 tokens

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
