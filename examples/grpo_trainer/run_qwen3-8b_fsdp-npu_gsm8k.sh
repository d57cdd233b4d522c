#!/usr/bin/env bash
# GRPO | Qwen3-8B | FSDP2 on Ascend NPUs | GSM8K
# Hardware: 1 node of 8 NPUs with 64 GB (Atlas 900 A2 PODc). Time: not published.
# Differs from run_qwen3-8b_fsdp_gsm8k in: rollout TP4 at 0.3, 8,192 tokens a micro batch.
# Source: rollout of the NPU branch of verl's run_qwen3_8b_fsdp.sh, the rest of the GPU recipe. That
# branch is a recipe of its own (16 prompts a step, 32,768 tokens of response, SP4, all offloaded) and
# replaces what its user sets.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-8b_fsdp-npu_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-8b_fsdp-npu_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-8b_fsdp-npu_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen3-8B}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/gsm8k/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/gsm8k/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=1024}"
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=512}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=2048}"
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=256}" # 160 samples an NPU
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.001}"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)

# Memory: 8.2 B parameters x 16 bytes over 8 NPUs: 15.3 GiB, 19.1 in the optimizer step. Entropy of 8,192 tokens in
# eager mode, as NPUs have no Inductor: 16 GiB (14 bytes x 151,936 a token), 5 for layers: 39 with CANN and HCCL. At
# 2,560 tokens a sample neither offload nor SP is needed, even if the sleeping engine kept all of its 19 GiB.
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=8192}" # three samples of full length
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=4}"
    # 3.8 GiB of weights, 360 k tokens of KV cache an engine
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.3}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=2560}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}"
    "trainer.test_freq=${TEST_FREQ:=5}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
