#!/usr/bin/env bash
# GRPO | Qwen3.5-9B | FSDP2 | GSM8K
# Hardware: 1 node of 8 GPUs with 80 GB. Time: 151 s a step on 8 B200 (verl issue 7847, token budgets up to 8,192).
# Source: the run of that issue (September 2026: this model and task, verl's run_qwen3_4b_fsdp.sh), with larger token
# budgets, as it advises, and without thinking, for which 1,024 tokens are too few; memory by the arithmetic below.
# Needs the package flash-linear-attention. Without it the linear attention of packed samples runs on from one sample
# into the next (PyTorch's fallback in transformers ignores where samples begin), and no error says so.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3.5-9b_fsdp_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3.5-9b_fsdp_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3.5-9b_fsdp_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3.5-9B}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-512}       # prompts a step: 14 steps an epoch of 7,473 rows
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-256} # prompts an update: 2 updates a step
ROLLOUT_N=${ROLLOUT_N:-5}                       # samples a prompt
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-1024}
REWARDS=${REWARDS:-correctness:1.0}
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}

# Memory: 9.4 B parameters (0.5 B of them the vision tower, idle here), fp32 with Adam over 8 GPUs: 17.5 GiB a GPU, 21.9
# at the optimizer step. The vocabulary has 248,320 entries: a micro batch of 12,288 tokens needs at most 22.7 GiB for
# its logits, 3.0 for kept activations, 3.8 for unsharded embeddings; 54 GiB in all.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-12288} # 6 of the longest samples
ROLLOUT_TP=${ROLLOUT_TP:-2}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # 48 GiB: 8.8 for the weights at TP2

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

DATA=(
    "+data.apply_chat_template_kwargs.enable_thinking=False" # it thinks by default, longer than the response may be
)

launch::run "${DATA[@]}" "$@"
