#!/usr/bin/env bash
# GRPO | Qwen2.5-1.5B-Instruct | FSDP2, LoRA | GSM8K
# Hardware: one GPU with 24 GB. Time: 116 steps; the published log has 49 s a step on two GPUs, 39 of them
# generation without CUDA graphs.
# Expect: 0.779 on the GSM8K test set after the one epoch (verl's docs/algo/baseline.md, GRPO-LoRA).
# Source: the log behind that row, all numbers of the algorithm. It had two GPUs; memory for one is reckoned below.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2.5-1.5b_fsdp-lora_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2.5-1.5b_fsdp-lora_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2.5-1.5b_fsdp-lora_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=1}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen2.5-1.5B-Instruct}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/gsm8k/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/gsm8k/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=64}"
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=512}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=1024}" # the mean is 219 tokens at the end, the longest 655
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"                            # 320 samples a step
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=64}" # one update a step, strictly on-policy
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=3e-5}"                     # thirty times the one for all weights
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

# Memory: the frozen weights stay fp32, 5.8 GiB; the adapter's gradients and Adam are half a GiB. 4,608 tokens of
# logits over 151,936 words take up to 5.2 GiB, layers and activations 1.6: 13 GiB, and 3 of the sleeping engine.
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=4608}" # three samples of full length
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=1}" # one GPU
    # 9.6 GiB: 2.9 of weights, 139 k tokens of KV cache
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.4}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=1536}" # prompt + response
    "actor_rollout_ref.rollout.load_format=safetensors"              # the base weights come from the files
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=1}"
    "trainer.test_freq=${TEST_FREQ:=10}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${MODEL[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
