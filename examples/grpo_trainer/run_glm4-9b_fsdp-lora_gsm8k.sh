#!/usr/bin/env bash
# GRPO | GLM-4-9B-0414 | FSDP2, LoRA | GSM8K
# Hardware: 2 GPUs with 80 GB. Time: not published.
# Source: verl has no recipe for this model. Rank, learning rate, batch and lengths are those of verl's published LoRA
# runs of Qwen2.5 on GSM8K (docs/algo/baseline.md: 7B 93.4, 14B 94.6); memory by the arithmetic below.
# Not run on a GPU yet.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_glm4-9b_fsdp-lora_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_glm4-9b_fsdp-lora_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_glm4-9b_fsdp-lora_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

MODEL_PATH=${MODEL_PATH:-zai-org/GLM-4-9B-0414}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-2}

LORA_RANK=${LORA_RANK:-32} # as published
LORA_ALPHA=${LORA_ALPHA:-32}
# All linear layers but gate_up_proj: GLM-4 has it in one piece, and verl hands its adapter over so; vLLM 0.28 wants one
# adapter for each half.
LORA_TARGETS=${LORA_TARGETS:-[q_proj,k_proj,v_proj,o_proj,down_proj]}
ACTOR_LR=${ACTOR_LR:-3e-5}          # thirty times that of full training
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001} # against the base model, the adapter switched off

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-64}       # prompts a step: 116 steps an epoch
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-64} # = the train batch: one update a step, strictly on-policy
ROLLOUT_N=${ROLLOUT_N:-5}                      # the group: samples a prompt
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-512}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-1024}
REWARDS=${REWARDS:-correctness:1.0}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-1}

# Memory: the frozen 9.4 B parameters in fp32 over 2 GPUs: 17.5 GiB a GPU. A micro batch of 16,384 tokens: 5.0 GiB of
# kept activations, at most 18.5 for logits of 151,552, 2.3 for unsharded embeddings; 46 GiB in all.
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-16384}
ROLLOUT_TP=${ROLLOUT_TP:-2}                           # 2 key-value heads
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.5} # 40 GiB beside the 17.5

TEST_FREQ=${TEST_FREQ:-20}
SAVE_FREQ=${SAVE_FREQ:-20} # only the adapter and its states: small
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-2}

launch::run "$@"
