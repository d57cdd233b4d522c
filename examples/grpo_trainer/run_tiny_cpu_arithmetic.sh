#!/usr/bin/env bash
# GRPO | tiny Qwen2 (0.5 M parameters) | FSDP2 on a CPU | sums of two numbers below 100
# Hardware: 2 CPU cores, 6 GiB of memory. Time: about 3.5 minutes.
# Measured on two AMD EPYC cores, 2026-11-21: held-out accuracy 0.656 to 0.992, 5.3 s a step, 588 tokens/s,
# rollout/trainer difference 0.002; 44 s to the first step, 63 s in that run, the first in its home folder.
# A model that adds but forgets to carry learns to carry from nothing but right-or-wrong rewards.
#
#   bash examples/grpo_trainer/run_tiny_cpu_arithmetic.sh            runs, or resumes, runs/run_tiny_cpu_arithmetic
#   TRAIN_STEPS=40 bash ... actor_rollout_ref.actor.optim.lr=1e-4    a knob, and any of verl's own keys
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-tiny-arithmetic} # built once by grpo_launchpad/tiny_model.py, then cached
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-1} # training workers; on a CPU two of them share the cores
DATA_SEED=${DATA_SEED:-1}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-32}       # prompts a step
ROLLOUT_N=${ROLLOUT_N:-8}                      # the group: samples a prompt, compared with each other
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-32} # = the train batch: one update a step, strictly on-policy
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-16}     # "<start>99+99=<end><start>" is 9 tokens
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-8}  # a sum and the end token are at most 4
REWARDS=${REWARDS:-correctness:1.0}            # 1 for the exact sum, else 0
ACTOR_LR=${ACTOR_LR:-1e-4}                     # a tiny model stands a hundred times the 1e-6 of a 7B one
KL_LOSS_COEF=${KL_LOSS_COEF:-0.0}              # above 0: keep close to the initial policy, at the cost of a reference model
TOTAL_EPOCHS=${TOTAL_EPOCHS:-1000}             # the steps decide
TRAIN_STEPS=${TRAIN_STEPS:-20}

PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-8192} # tokens a micro batch: all 256 samples fit into one
GRADIENT_CHECKPOINTING=${GRADIENT_CHECKPOINTING:-False}
ROLLOUT_TP=${ROLLOUT_TP:-1}

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-5}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-1}

launch::run "$@"
