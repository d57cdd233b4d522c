#!/usr/bin/env bash
# GRPO | Qwen2.5-32B-Instruct | FSDP2 | MATH
# Hardware: 2 nodes of 8 GPUs with 80 GB. Time: not published.
# Expect: published for this model on the MATH test set are 0.699 and 0.736, with LoRA and answers of
# at most 512 tokens.
# Source: verl's run_qwen2_5_32b_fsdp.sh, for batches, lengths and TP8, which trains the base model on GSM8K. It pads
# all samples to full length in micro batches of 2; here they are packed.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2.5-32b_fsdp_math.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2.5-32b_fsdp_math.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2.5-32b_fsdp_math.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen2.5-32B-Instruct}
NNODES=${NNODES:-2}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-1024}      # prompts a step: 7 steps an epoch
ROLLOUT_N=${ROLLOUT_N:-5}                       # the group: samples a prompt
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-128} # eight updates a step, of 640 samples: 40 a GPU
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-1024}
REWARDS=${REWARDS:-correctness:1.0} # 1 for an answer equal to the boxed one, else 0
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001} # k3 against the initial policy
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}    # 105 steps

# Memory: 32.8 B parameters x 16 bytes over 16 GPUs: 30.5 GiB, 38.1 in the optimizer step. The update of
# 8,192 tokens adds 9.3 for logits, 5.0 of kept activations (64 layers), 2.6 for the live layer and 8.3 of
# gathered weights and gradients: 56 GiB. One node alone would need 61 GiB for the states: PARAM_OFFLOAD
# does not help, they return to update.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-8192} # four samples of full length
PARAM_OFFLOAD=${PARAM_OFFLOAD:-False}
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-False}         # True: 15 GiB less while it generates, for a larger KV cache
ROLLOUT_TP=${ROLLOUT_TP:-8}                           # an engine a node; 8 heads of keys and values
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.4} # 32 GiB beside 30.5: 7.6 of weights, 700 k tokens of KV cache
MAX_NUM_SEQS=${MAX_NUM_SEQS:-512}                     # two engines share 5,120 samples

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2} # 393 GB each

launch::run "$@"
