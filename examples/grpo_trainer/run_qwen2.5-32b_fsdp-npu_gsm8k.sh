#!/usr/bin/env bash
# GRPO | Qwen2.5-32B-Instruct | FSDP2 on Ascend NPUs | GSM8K
# Hardware: 2 nodes of 16 NPUs with 64 GB (Atlas 200T A2 Box16, Atlas 800T A3). Time: not published.
# Expect: published for this model on the GSM8K test set is 0.958, with LoRA on GPUs.
# Source: verl's run_qwen2_5_32b_grpo_npu.sh of January 2026. Its prompts may have 1,024 tokens, which GSM8K's never
# do, its samples are padded, and it saves nothing; its successor replaces a chosen number of devices by 16.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2.5-32b_fsdp-npu_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2.5-32b_fsdp-npu_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2.5-32b_fsdp-npu_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=2}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=16}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen2.5-32B-Instruct}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/gsm8k/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/gsm8k/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=1024}"
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=512}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=1024}"
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    # eight updates a step, of 20 samples an NPU
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=128}"
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.001}"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)

# Memory: 32.8 B parameters x 16 bytes over 32 NPUs: 15.3 GiB, 19.1 in the optimizer step. 4,096 tokens:
# 8.1 GiB for the entropy in eager mode, 3.8 of activations, 8.3 of gathered weights and gradients. 36
# GiB, and the sleeping engine's.
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=4096}" # at least two samples
    "actor_rollout_ref.actor.fsdp_config.param_offload=${PARAM_OFFLOAD:=False}"
    "actor_rollout_ref.actor.fsdp_config.optimizer_offload=${OPTIMIZER_OFFLOAD:=False}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=8}" # two engines a node
    # 26 GiB: 7.6 of weights, 490 k tokens of KV cache
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.4}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=1536}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}"
    "trainer.test_freq=${TEST_FREQ:=10}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}" # 393 GB each
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
