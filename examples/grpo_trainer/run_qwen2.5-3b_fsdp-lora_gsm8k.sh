#!/usr/bin/env bash
# GRPO | Qwen2.5-3B-Instruct | FSDP2, LoRA | GSM8K
# Hardware: 1 node of 2 GPUs with 24 GB. Time: 116 steps of 79 s in the published log, 61 of them generation without
# CUDA graphs; its validation took 14 minutes each time.
# Expect: 0.861 on the GSM8K test set (verl's docs/algo/baseline.md, GRPO-LoRA).
# Source: the log behind that row. Upstream's later script for this model has rank 64 at 3e-6 and no published score.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2.5-3b_fsdp-lora_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2.5-3b_fsdp-lora_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2.5-3b_fsdp-lora_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=2}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen2.5-3B-Instruct}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/gsm8k/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/gsm8k/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=64}" # 116 steps an epoch
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=512}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=1024}" # answers average 304 tokens
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=64}" # one update a step, 160 samples a GPU
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=3e-5}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.001}"   # against the model without its adapter
    "actor_rollout_ref.actor.entropy_coeff=${ENTROPY_COEFF:=0.001}" # as published
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)
MODEL=(
    "actor_rollout_ref.model.lora_rank=${LORA_RANK:=32}" # on all linear layers
    "actor_rollout_ref.model.lora_alpha=${LORA_ALPHA:=32}"
)

# Memory: half of 3.1 B fp32 weights, 5.7 GiB a GPU; update of 4,608 tokens: up to 5.2 GiB of logits, 2.2 of layers
# and activations; 3 of CUDA and NCCL, 3 of the sleeping engine: 19 GiB. Host: embeddings are tied, so each of the two
# ranks reads all of the model in fp32, 25 GB.
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=4608}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    # as published: at TP1 the KV cache would have 1 GiB
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=2}"
    # 9.6 GiB: 2.9 of weights, 217 k tokens of KV cache
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.4}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=1536}" # prompt + response
    "actor_rollout_ref.rollout.load_format=safetensors"              # the base weights come from the files
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=1}"
    "trainer.test_freq=${TEST_FREQ:=10}" # the published run: 5
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${MODEL[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
