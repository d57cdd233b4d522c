#!/usr/bin/env bash
# GRPO | DeepSeek-LLM-7B-Chat | Megatron | MATH
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: verl's last recipe for it, examples/grpo_trainer/run_deepseek7b_llm_math_megatron.sh of January 2026, which
# trained on GSM8K as well and asked for 16 GPUs in one node. For both data sets:
#   TRAIN_FILES=[data/gsm8k/train.parquet,data/math/train.parquet]
#   VAL_FILES=[data/gsm8k/test.parquet,data/math/test.parquet]
# Bridge: Megatron-Bridge, verl's default, has LlamaForCausalLM, which this model is.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_deepseek-llm-7b_megatron_math.sh   check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_deepseek-llm-7b_megatron_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_deepseek-llm-7b_megatron_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=deepseek-ai/deepseek-llm-7b-chat}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/math/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/math/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=1024}" # 7 steps an epoch of 7,494 rows
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=1024}"
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=256}"
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.001}"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}" # the boxed answer is right
)

# Memory: 6.9 B parameters at TP2 x PP2 x DP2, 12 bytes each: 19.3 GiB a GPU. A micro batch of 8,192 tokens without
# recomputation: 15.9 GiB of activations (34 x tokens x 4,096 bytes a layer over TP2, 15 layers, 2 in flight) and 4.7
# of fp32 logits of 51,200; with 2.6 GiB of CUDA and NCCL 43 GiB. At 16,384 tokens it would be 63.
ACTOR=(
    "model_engine=megatron"
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=${ACTOR_TP:=2}"
    "actor_rollout_ref.actor.megatron.pipeline_model_parallel_size=${ACTOR_PP:=2}" # 15 of the 30 layers each
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=8192}" # one sample is at most 2,048
    "actor_rollout_ref.actor.megatron.param_offload=${PARAM_OFFLOAD:=True}"
    "actor_rollout_ref.actor.megatron.optimizer_offload=${OPTIMIZER_OFFLOAD:=True}"
    "actor_rollout_ref.ref.megatron.param_offload=${REF_OFFLOAD:=True}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=2}"
    # 48 GB: 7 of weights, 41 of cache: 170,000 tokens
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.6}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=2048}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}"
    "trainer.test_freq=${TEST_FREQ:=5}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
