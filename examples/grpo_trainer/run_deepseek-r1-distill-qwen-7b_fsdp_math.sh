#!/usr/bin/env bash
# GRPO | DeepSeek-R1-Distill-Qwen-7B | FSDP2 | MATH
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: Skywork-OR1's 8K recipe, GRPO of this model on verl and one node of 8 GPUs (or1_scripts/train/7b_8k.sh),
# without its code problems, its adaptive entropy bonus and its rejection of groups that are all right or all wrong.
# Reward: the chat template opens the thought in the prompt, so responses lack <think>; a format reward would be 0 for
# all.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-7b_fsdp_math.sh   check, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-7b_fsdp_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-7b_fsdp_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-deepseek-ai/DeepSeek-R1-Distill-Qwen-7B}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-256} # 29 steps an epoch of 7,496 rows
ROLLOUT_N=${ROLLOUT_N:-16}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-256} # one update a step: always on policy
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-1024}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-8192} # a thought that does not end scores 0
TEMPERATURE=${TEMPERATURE:-1.0}                  # as Skywork-OR1; DeepScaleR takes 0.6
REWARDS=${REWARDS:-correctness:1.0}              # only what follows </think> counts
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0} # on policy, no reference model
TOTAL_EPOCHS=${TOTAL_EPOCHS:-5} # 145 steps; watch the validation

# Memory: 7.6 B parameters, fp32 with Adam over 8 GPUs: 14.2 GiB a GPU, 17.7 at the optimizer step. A micro batch of
# 18,432 tokens: 3.4 GiB of kept activations (28 layers), at most 31.3 for logits of 152,064; 49 GiB in all.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-18432} # tokens a micro batch: two samples of full length
PARAM_OFFLOAD=${PARAM_OFFLOAD:-True}
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-True}
ROLLOUT_TP=${ROLLOUT_TP:-1}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.7} # 56 GB: 15 of weights, 40 of cache: 75 full samples

VAL_ROWS=${VAL_ROWS:-500}               # of 5,000: a tenth of the time
VAL_TEMPERATURE=${VAL_TEMPERATURE:-0.6} # greedy decoding repeats itself without end, says the model card
VAL_TOP_P=${VAL_TOP_P:-0.95}
TEST_FREQ=${TEST_FREQ:-10}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
