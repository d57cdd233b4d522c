#!/usr/bin/env bash
# GRPO | Qwen3-4B | FSDP2 | GSM8K
# Hardware: 1 node of 8 GPUs with 40 GB. Time: not published.
# Source: verl's run_qwen3_4b_fsdp.sh for batches and rollout. Its responses of 1,024 tokens are tight for a model
# that thinks first; here they have the 2,048 of verl's Qwen3-8B script. Its budgets of 3,000, 4,096 and 8,192 tokens
# hold one to four of its samples; here one budget holds four.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-4b_fsdp_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-4b_fsdp_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-4b_fsdp_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen3-4B}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/gsm8k/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/gsm8k/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=512}" # 14 steps an epoch
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=512}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=2048}" # thoughts included; a cut answer scores 0
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=256}" # two a step, 160 samples a GPU
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.001}"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)

# Memory: 4.0 B parameters x 16 bytes over 8 GPUs: 7.5 GiB. 10,240 tokens: up to 11.6 of logits over 151,936 words,
# 3.2 of activations, 1.8 of gathered weights: 24 GiB, and 6 of CUDA, NCCL and the sleeping engine.
# Host: embeddings are tied, so each of 8 ranks reads all of the model in fp32: 129 GB.
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=10240}" # four samples of full length
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=2}"
    # 24 of 40 GiB: 3.7 of weights, 250 k tokens of KV cache
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.6}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=2560}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}"
    "trainer.test_freq=${TEST_FREQ:=5}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
