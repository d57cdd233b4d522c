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

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=2}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen2.5-32B-Instruct}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/math/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/math/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=1024}" # 7 steps an epoch
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=1024}"
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    # eight updates a step, of 640 samples: 40 a GPU
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=128}"
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.001}"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)

# Memory: 32.8 B parameters x 16 bytes over 16 GPUs: 30.5 GiB, 38.1 in the optimizer step. The update of
# 8,192 tokens adds 9.3 for logits, 5.0 of kept activations (64 layers), 2.6 for the live layer and 8.3 of
# gathered weights and gradients: 56 GiB. One node alone would need 61 GiB for the states: PARAM_OFFLOAD
# does not help, they return to update.
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=8192}" # four samples of full length
    "actor_rollout_ref.actor.fsdp_config.param_offload=${PARAM_OFFLOAD:=False}"
    # True: 15 GiB less while it generates, for a larger KV cache
    "actor_rollout_ref.actor.fsdp_config.optimizer_offload=${OPTIMIZER_OFFLOAD:=False}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    # an engine a node; 8 heads of keys and values
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=8}"
    # 32 GiB beside 30.5: 7.6 of weights, 700 k tokens of KV cache
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.4}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=2048}" # prompt + response
    "actor_rollout_ref.rollout.max_num_seqs=${MAX_NUM_SEQS:=512}"    # two engines share 5,120 samples
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}" # 105 steps
    "trainer.test_freq=${TEST_FREQ:=5}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}" # 393 GB each
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
