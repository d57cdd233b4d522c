#!/usr/bin/env bash
# GRPO | DeepSeek-R1-Distill-Qwen-7B | FSDP2 on Ascend NPUs | MATH
# Hardware: 1 node of 8 NPUs with 64 GB (Atlas A2; an A3 node has 16: NGPUS_PER_NODE=16). Time: not published.
# Source: batch, group, lengths and temperature of Skywork-OR1's or1_scripts/train/7b_8k.sh, as the recipe for GPUs.
# Other than there: every sample is shared by 2 NPUs, two NPUs hold a copy of the rollout engine, and that gets 60 %
# of 64 GB.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-7b_fsdp-npu_math.sh   check, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-7b_fsdp-npu_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-7b_fsdp-npu_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-deepseek-ai/DeepSeek-R1-Distill-Qwen-7B}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-256}
ROLLOUT_N=${ROLLOUT_N:-16}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-256}
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-8192}
TEMPERATURE=${TEMPERATURE:-1.0} # as Skywork-OR1
REWARDS=${REWARDS:-correctness:1.0}
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-5} # 145 steps

# Memory: 14.2 GiB of weights, gradients and Adam, 17.7 at the optimizer step. Logits of 152,064 take up to 31.3 GiB for
# 18,432 tokens, too much beside the kernels and buffers of 64 GB. SP2 halves that and the 3.4 GiB of kept activations:
# 32 GiB in all.
SP_SIZE=${SP_SIZE:-2}                        # 14 query and 2 key-value heads each
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-9216} # tokens a micro batch and NPU: 18,432 for the two
PARAM_OFFLOAD=${PARAM_OFFLOAD:-True}
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-True}
ROLLOUT_TP=${ROLLOUT_TP:-2}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # 38 GB: 7.6 of weights, 30 of cache: 28 KiB a token and NPU

VAL_ROWS=${VAL_ROWS:-500}               # of MATH's 5,000
VAL_TEMPERATURE=${VAL_TEMPERATURE:-0.6} # greedy decoding repeats itself without end, says the model card
VAL_TOP_P=${VAL_TOP_P:-0.95}
TEST_FREQ=${TEST_FREQ:-10}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
