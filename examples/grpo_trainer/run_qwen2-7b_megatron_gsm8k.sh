#!/usr/bin/env bash
# GRPO | Qwen2-7B-Instruct | Megatron | GSM8K
# Hardware: 1 node of 8 GPUs with 80 GB. Time: 105 steps of about 200 s, 6 hours (a published run of this model, batch and
# layout with another loss, on GSM8K and MATH, took 211 s a step).
# Expect: about 0.89 on the GSM8K test set. Published: 0.898 with FSDP2 on GSM8K; 0.896 with Megatron on 16 GPUs, GSM8K and MATH.
# Source: docs/algo/baseline.md of verl, its rows for Qwen2-7B-Instruct, and the logs behind them.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2-7b_megatron_gsm8k.sh      check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2-7b_megatron_gsm8k.sh        the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2-7b_megatron_gsm8k.sh                run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen2-7B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-1024}       # prompts a step; 7,473 training rows make 7 steps an epoch
ROLLOUT_N=${ROLLOUT_N:-5}                        # the group: samples a prompt
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-256}  # prompts an update: 4 updates a step
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-512}      # the longest GSM8K prompt has 1,052 characters
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-1024} # answers averaged 154 to 208 tokens in the FSDP2 run
REWARDS=${REWARDS:-correctness:1.0}              # 1 for the right number, else 0
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001} # k3 against the initial policy
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}

# Memory: 7.6 B parameters at TP2 x PP2 x DP2 take 21.3 GiB a GPU: bf16 weights, fp32 gradients, and the shard of master
# weights and Adam (14.2 before the first step, as that log says). CUDA and NCCL take 2.6. Without recomputation a micro
# batch of 8,192 tokens keeps about 19 GiB of activations on the first stage: 43 GiB in all while the engine sleeps.
ACTOR_TP=${ACTOR_TP:-2}
ACTOR_PP=${ACTOR_PP:-2}
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-8192} # tokens a micro batch; one sample is at most 1,536
REF_OFFLOAD=${REF_OFFLOAD:-True}             # it is used once a step
ROLLOUT_TP=${ROLLOUT_TP:-2}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.4} # 32 GiB: 7.1 for the weights at TP2, the rest for the KV cache

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
