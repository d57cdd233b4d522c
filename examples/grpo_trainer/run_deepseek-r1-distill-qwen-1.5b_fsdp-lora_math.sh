#!/usr/bin/env bash
# GRPO | DeepSeek-R1-Distill-Qwen-1.5B | FSDP2, LoRA | MATH
# Hardware: 1 node of 2 GPUs with 48 GB. Time: not published.
# Source: lengths, group, temperature and KL of DeepScaleR's first stage, GRPO of all weights of this model (rllm,
# scripts/deepscaler/train/deepscaler_1.5b_8k.sh; there 128 prompts a step on 8 GPUs); rank, alpha and batch of verl's
# published GRPO-LoRA runs (docs/algo/baseline.md). That LoRA suffices for this model: Tina, arXiv 2504.15777.
# Reward: the chat template opens the thought in the prompt, so responses lack <think>; a format reward would be 0 for
# all.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-1.5b_fsdp-lora_math.sh   check, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-1.5b_fsdp-lora_math.sh     shrunken, on a CPU
#   bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-1.5b_fsdp-lora_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-2}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-64} # 117 steps an epoch of 7,496 rows
ROLLOUT_N=${ROLLOUT_N:-8}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-32} # half, as in DeepScaleR: 2 updates a step
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-8192} # a thought that does not end scores 0
TEMPERATURE=${TEMPERATURE:-0.6}
REWARDS=${REWARDS:-correctness:1.0}
ACTOR_LR=${ACTOR_LR:-1e-5}          # ten times DeepScaleR's 1e-6, as verl advises for LoRA
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001} # the reference is the base without its adapter
TOTAL_EPOCHS=${TOTAL_EPOCHS:-3}

LORA_RANK=${LORA_RANK:-32}
LORA_ALPHA=${LORA_ALPHA:-32}

# Memory: 1.8 B frozen fp32 parameters over 2 GPUs are 3.3 GiB, the adapter little. A micro batch of 12,288 tokens: 1.0
# GiB of kept activations and at most 20.9 for logits of 151,936, which temperature 0.6 copies; 25 GiB in all.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-12288} # tokens a micro batch; one sample is at most 9,216
ROLLOUT_TP=${ROLLOUT_TP:-1}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # 29 GB: 4 of weights, 25 of cache: 95 full samples

VAL_ROWS=${VAL_ROWS:-500}               # of 5,000: a validation would cost as much as ten steps
VAL_TEMPERATURE=${VAL_TEMPERATURE:-0.6} # greedy decoding repeats itself without end, says the model card
VAL_TOP_P=${VAL_TOP_P:-0.95}
TEST_FREQ=${TEST_FREQ:-20}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
