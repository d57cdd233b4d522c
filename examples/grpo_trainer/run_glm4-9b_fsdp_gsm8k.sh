#!/usr/bin/env bash
# GRPO | GLM-4-9B-0414 | FSDP2 | GSM8K
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: verl has no recipe for this model. Algorithm and batches are those of its published Qwen2-7B run on GSM8K
# (docs/algo/baseline.md); parallel layout and memory by the arithmetic below.
# Unproven on a GPU. verl 0.9.1 has no code of its own for model type glm4; transformers alone keeps packed samples
# apart, by their position ids: right on a CPU, and flash attention is given the same ids. Should
# training/rollout_probs_diff_mean exceed 0.01 in the first steps, try actor_rollout_ref.model.use_remove_padding=False.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_glm4-9b_fsdp_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_glm4-9b_fsdp_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_glm4-9b_fsdp_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-zai-org/GLM-4-9B-0414}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-1024}      # prompts a step: 7 steps an epoch of 7,473 rows
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-256} # prompts an update: 4 updates a step
ROLLOUT_N=${ROLLOUT_N:-5}                       # the group: samples a prompt
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-512}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-1024}
REWARDS=${REWARDS:-correctness:1.0} # 1 for the right number, else 0
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15} # 105 steps

# Memory: 9.4 B parameters, fp32 with Adam over 8 GPUs: 17.5 GiB a GPU, 21.9 at the optimizer step. A micro batch of
# 16,384 tokens: 5.0 GiB of kept activations (40 layers), at most 18.5 for logits of 151,552; 51 GiB in all.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-16384} # tokens a micro batch; one sample is at most 1,536
ROLLOUT_TP=${ROLLOUT_TP:-2}                   # 2 key-value heads: more GPUs would each keep copies of them
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6}

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
