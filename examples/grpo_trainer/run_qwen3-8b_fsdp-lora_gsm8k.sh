#!/usr/bin/env bash
# GRPO | Qwen3-8B | FSDP2, LoRA | GSM8K
# Hardware: 1 node of 2 GPUs with 80 GB. Time: not published.
# Source: verl's tuning/lora/run_qwen3_8b_fsdp.sh, all but the length of responses: its 1,024 tokens are tight for a
# model that thinks first; 2,048 are those of verl's script for all weights.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-8b_fsdp-lora_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-8b_fsdp-lora_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-8b_fsdp-lora_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=2}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen3-8B}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/gsm8k/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/gsm8k/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=64}" # 116 steps an epoch
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=512}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=2048}" # thoughts included
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    # two updates a step, 80 samples a GPU each
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=32}"
    # a tenth of the published runs' of rank 32
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=3e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.001}" # against the model without its adapter
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)
MODEL=(
    "actor_rollout_ref.model.lora_rank=${LORA_RANK:=64}"   # on all linear layers
    "actor_rollout_ref.model.lora_alpha=${LORA_ALPHA:=32}" # the adapter counts half
)

# Memory: half of 8.2 B frozen fp32 weights: 15.3 GiB; the adapter's gradients and Adam: 1.3. 12,288 tokens:
# up to 13.9 of logits, 5.8 of activations, 3.4 of gathered weights: 40 GiB. Host: 16 GB for the sleeping
# engine's weights, each engine.
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=12288}" # four samples of full length
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=2}"
    # 48 GiB beside 16.6: 540 k tokens of KV cache
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.6}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=2560}" # prompt + response
    "actor_rollout_ref.rollout.load_format=safetensors"              # the base weights come from the files
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}"
    "trainer.test_freq=${TEST_FREQ:=5}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${MODEL[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
