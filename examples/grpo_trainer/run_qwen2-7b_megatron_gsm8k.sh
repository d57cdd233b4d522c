#!/usr/bin/env bash
# GRPO | Qwen2-7B-Instruct | Megatron | GSM8K
# Hardware: 1 node of 8 GPUs with 80 GB. Time: 105 steps of about 200 s, 6 hours (a published run of this model, batch and
# layout with another loss, on GSM8K and MATH, took 211 s a step).
# Expect: about 0.89 on the GSM8K test set. Published: 0.898 with FSDP2 on GSM8K; 0.896 with Megatron on 16 GPUs, GSM8K and MATH.
# Source: docs/algo/baseline.md of verl, its rows for Qwen2-7B-Instruct, and the logs behind them.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2-7b_megatron_gsm8k.sh      check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2-7b_megatron_gsm8k.sh        the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2-7b_megatron_gsm8k.sh                run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen2-7B-Instruct}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/gsm8k/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/gsm8k/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=1024}"       # 7,473 training rows make 7 steps an epoch
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=512}"      # the longest GSM8K prompt has 1,052 characters
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=1024}" # answers averaged 154 to 208 tokens in the FSDP2 run
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=256}" # 4 updates a step
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.001}"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)

# Memory: 7.6 B parameters at TP2 x PP2 x DP2 take 21.3 GiB a GPU: bf16 weights, fp32 gradients, and the shard of master
# weights and Adam (14.2 before the first step, as that log says). CUDA and NCCL take 2.6. Without recomputation a micro
# batch of 8,192 tokens keeps about 19 GiB of activations on the first stage: 43 GiB in all while the engine sleeps.
ACTOR=(
    "model_engine=megatron"
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=${ACTOR_TP:=2}"
    "actor_rollout_ref.actor.megatron.pipeline_model_parallel_size=${ACTOR_PP:=2}"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=8192}" # one sample is at most 1,536
    "actor_rollout_ref.ref.megatron.param_offload=${REF_OFFLOAD:=True}"            # it is used once a step
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=2}"
    # 32 GiB: 7.1 for the weights at TP2, the rest for the KV cache
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.4}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=1536}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}"
    "trainer.test_freq=${TEST_FREQ:=5}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
