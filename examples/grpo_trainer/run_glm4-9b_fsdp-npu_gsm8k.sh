#!/usr/bin/env bash
# GRPO | GLM-4-9B-0414 | FSDP2 on Ascend NPUs | GSM8K
# Hardware: 1 node of 8 NPUs with 64 GB (Atlas 800T A2). Time: not published.
# Source: verl has no recipe for this model. Algorithm and batches as in run_glm4-9b_fsdp_gsm8k; offload and the
# rollout's share of memory from the NPU branch of verl's examples/grpo_trainer/run_qwen3_8b_fsdp.sh of August 2026.
# Unproven: verl 0.9.1 has no NPU kernels for model type glm4 (verl/models/transformers/npu_patch.py), and it has not
# been run on NPUs; watch training/rollout_probs_diff_mean in the first steps: 0.01 is too much.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_glm4-9b_fsdp-npu_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_glm4-9b_fsdp-npu_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_glm4-9b_fsdp-npu_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-zai-org/GLM-4-9B-0414}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8} # 16 on an A3, where a card counts as two

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-1024}      # prompts a step: 7 steps an epoch of 7,473 rows
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-256} # prompts an update: 1,280 samples, 160 an NPU
ROLLOUT_N=${ROLLOUT_N:-5}
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-512}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-1024}
REWARDS=${REWARDS:-correctness:1.0} # 1 for the right number, else 0
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}

# Memory of the update: 9.4 B parameters, fp32 with Adam over 8 NPUs, take 23.5 GB at the optimizer step; a micro batch
# of 8,192 tokens at most 9.9 GB of logits, 2.7 of kept activations, 2.5 of unsharded embeddings: 42 GB with 3 for the
# runtime. The rollout's 19 GB fit beside that, should a sleeping engine give nothing back (vllm-ascend issue 977).
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-8192} # 5 of the longest samples
PARAM_OFFLOAD=${PARAM_OFFLOAD:-True}         # to the host during the rollout
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-True}
ROLLOUT_TP=${ROLLOUT_TP:-2}                           # 2 key-value heads
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.3} # 19 GB: 9.4 of weights, and a cache of 470,000 tokens

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
