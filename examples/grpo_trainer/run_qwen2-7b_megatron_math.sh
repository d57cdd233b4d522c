#!/usr/bin/env bash
# GRPO | Qwen2-7B-Instruct | Megatron | MATH
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published for this layout; the published run of GSM8K and MATH took
# 297 s a step on 16 GPUs at TP4 x PP2.
# Expect: a MATH test score near 0.52, where that run ended; its best was 0.547, at step 15.
# Source: verl's run_qwen2-7b_math_megatron.sh of January 2026 (TP2 x PP2), and the log behind docs/algo/baseline.md.
# It trains on GSM8K too; TRAIN_FILES=[data/gsm8k/train.parquet,data/math/train.parquet] does so.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2-7b_megatron_math.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2-7b_megatron_math.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2-7b_megatron_math.sh              run, or resume
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
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=1024}"
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=1024}" # answers average 230 to 240 tokens in the log
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=256}" # about 27 micro batches a rank
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.001}"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)

# Memory at TP2 x PP2 x DP2: a quarter of 7.6 B parameters, 12 bytes each (bf16 weights, fp32 gradients, Adam and
# master weights split in two): 21.3 GiB. Nothing is recomputed: of 8,192 tokens the first stage keeps 9.5 GiB for
# each of two micro batches in flight. With 2.6 GiB of CUDA and NCCL: 43 GiB.
ACTOR=(
    "model_engine=megatron"
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=${ACTOR_TP:=2}"
    "actor_rollout_ref.actor.megatron.pipeline_model_parallel_size=${ACTOR_PP:=2}" # 14 of 28 layers each
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=8192}" # four samples of full length
    "actor_rollout_ref.actor.megatron.param_offload=${PARAM_OFFLOAD:=False}"
    "actor_rollout_ref.actor.megatron.optimizer_offload=${OPTIMIZER_OFFLOAD:=False}"
    "actor_rollout_ref.ref.megatron.param_offload=${REF_OFFLOAD:=True}" # it works once a step; 3.5 GiB
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=2}"
    # 40 GiB beside 24; upstream's 0.6 would leave 8 GiB of 80
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.5}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=2048}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}" # 105 steps
    "trainer.test_freq=${TEST_FREQ:=5}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
