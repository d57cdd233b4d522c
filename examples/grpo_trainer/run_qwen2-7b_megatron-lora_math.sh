#!/usr/bin/env bash
# GRPO | Qwen2-7B-Instruct | Megatron, LoRA | MATH
# Hardware: 1 node of 8 GPUs with 40 GB. Time: not published. Needs Megatron-Bridge, which verl's
# extra "megatron" has.
# Source: batches and TP4 from verl's run_qwen2-7b_math_megatron_lora.sh of January 2026; rank, alpha and learning
# rate from its current Megatron LoRA script (tuning/lora, Qwen3-30B-A3B). The older one has rank 256 at 1e-6,
# although verl's LoRA page advises a higher rate than for all weights.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2-7b_megatron-lora_math.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2-7b_megatron-lora_math.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2-7b_megatron-lora_math.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen2-7B-Instruct}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/math/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/math/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=128}" # 58 steps an epoch
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=1024}"
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=4}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=16}" # eight updates a step, of 64 samples
    # adapters want more than the 1e-6 of all weights
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=3e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    # the reference is the same model without its adapter: no second copy
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.001}"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)
MODEL=(
    "actor_rollout_ref.model.lora.rank=${LORA_RANK:=32}"      # 71 M trained parameters
    "actor_rollout_ref.model.lora.alpha=${LORA_ALPHA:=64}"    # the adapter counts twice
    "actor_rollout_ref.model.lora.lora_A_init_method=kaiming" # as PEFT does, so as the FSDP recipes; verl's is xavier
)

# Memory: the frozen weights are 3.5 GiB of bf16 at TP4, without gradients or Adam; the adapter's are below 1 GiB.
# 8,192 tokens without recomputing: 9.5 GiB of activations, 2.3 of logits. With CUDA and NCCL 20 GiB.
ACTOR=(
    "model_engine=megatron"
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=${ACTOR_TP:=4}"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=8192}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=2}"
    # of 40: 24 GiB, 7.1 of them weights
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.6}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=2048}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}"
    "trainer.test_freq=${TEST_FREQ:=10}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${MODEL[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
