#!/usr/bin/env bash
# GRPO | Qwen3-8B | Megatron on Ascend NPUs | MATH
# Hardware: 1 node of 16 NPUs with 64 GB (Atlas 200T A2 Box16, Atlas 800T A3). Time: not published.
# Differs from run_qwen3-8b_megatron_math in: 16 devices, TP4 for training and rollout, the rollout's share of 0.4.
# Source: the GPU recipe, and the arithmetic below. verl has no recipe of a dense model on Megatron and NPUs but a
# test of Qwen3-0.6B (tests/special_npu/quick_start, TP2 x PP2); MindSpeed must be installed beside Megatron.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-8b_megatron-npu_math.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-8b_megatron-npu_math.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-8b_megatron-npu_math.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=16}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen3-8B}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/math/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/math/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=1024}"
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=4096}"
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    # 640 samples an update on each of two data-parallel ranks
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=256}"
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.001}"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)

# Memory at TP4 x PP2 x DP2: 1.02 B parameters an NPU, 12 bytes each: 11.4 GiB. 10,240 tokens, two micro batches
# in flight: 12.7 of activations; 27 GiB with CANN and HCCL, which fit even beside an engine that gives nothing
# back. At TP2 it would be 45.
ACTOR=(
    "model_engine=megatron"
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=${ACTOR_TP:=4}" # 8 heads of keys and values
    "actor_rollout_ref.actor.megatron.pipeline_model_parallel_size=${ACTOR_PP:=2}"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=10240}"
    "actor_rollout_ref.actor.megatron.param_offload=${PARAM_OFFLOAD:=False}"
    "actor_rollout_ref.actor.megatron.optimizer_offload=${OPTIMIZER_OFFLOAD:=False}"
    "actor_rollout_ref.ref.megatron.param_offload=${REF_OFFLOAD:=True}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=4}" # four engines, as on GPUs
    # 26 GiB: 3.8 of weights, 547 k tokens of KV cache
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.4}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=5120}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}"
    "trainer.test_freq=${TEST_FREQ:=5}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
