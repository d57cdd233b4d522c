#!/usr/bin/env bash
# GRPO | Qwen2.5-32B-Instruct | FSDP2 on Ascend NPUs | GSM8K
# Hardware: 2 nodes of 16 NPUs with 64 GB (Atlas 200T A2 Box16, Atlas 800T A3). Time: not published.
# Expect: published for this model on the GSM8K test set is 0.958, with LoRA on GPUs.
# Source: verl's run_qwen2_5_32b_grpo_npu.sh of January 2026. Its prompts may have 1,024 tokens, which GSM8K's never
# do, its samples are padded, and it saves nothing; its successor replaces a chosen number of devices by 16.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2.5-32b_fsdp-npu_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2.5-32b_fsdp-npu_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2.5-32b_fsdp-npu_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen2.5-32B-Instruct}
NNODES=${NNODES:-2}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-16}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-1024}      # prompts a step
ROLLOUT_N=${ROLLOUT_N:-5}                       # the group: samples a prompt
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-128} # eight updates a step, of 20 samples an NPU
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-512}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-1024}
REWARDS=${REWARDS:-correctness:1.0} # 1 for the right number, else 0
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}

# Memory: 32.8 B parameters x 16 bytes over 32 NPUs: 15.3 GiB, 19.1 in the optimizer step. 4,096 tokens:
# 8.1 GiB for the entropy in eager mode, 3.8 of activations, 8.3 of gathered weights and gradients. 36
# GiB, and the sleeping engine's.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-4096} # at least two samples
PARAM_OFFLOAD=${PARAM_OFFLOAD:-False}
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-False}
ROLLOUT_TP=${ROLLOUT_TP:-8}                           # two engines a node
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.4} # 26 GiB: 7.6 of weights, 490 k tokens of KV cache

TEST_FREQ=${TEST_FREQ:-10}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2} # 393 GB each

launch::run "$@"
