#!/usr/bin/env bash
# GRPO | Qwen3-30B-A3B | Megatron, LoRA | MATH
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: verl's examples/tuning/lora/run_qwen3_30b_a3b_megatron.sh, on GSM8K with the Instruct-2507 model, which does
# not think; this one does, so responses are eight times as long.
# Bridge: LoRA exists in Megatron-Bridge only, verl's default; adapters of experts need a version above 0.2 (verl pins
# 0.5.2).
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-30b-a3b_megatron-lora_math.sh   check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-30b-a3b_megatron-lora_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-30b-a3b_megatron-lora_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen3-30B-A3B}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/math/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/math/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=128}" # 58 steps an epoch of 7,494 rows
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=8192}"
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=4}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=16}" # 8 updates a step
    # between full training's 1e-6 and ten times that, verl's advice for LoRA
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=3e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.001}" # the reference is the base without its adapter
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)
MODEL=(
    "actor_rollout_ref.model.lora.rank=${LORA_RANK:=32}"
    "actor_rollout_ref.model.lora.alpha=${LORA_ALPHA:=64}"
    "actor_rollout_ref.model.lora.lora_A_init_method=kaiming"
)

# Memory: the frozen weights at TP2 x PP2 x EP4 are 7.5 GiB in bf16, with neither gradients nor Adam. Each of the two
# GPUs that share a sample has at most 10,240 tokens: 8.7 GiB of logits of 75,968. So half of a GPU can
# be the rollout's.
ACTOR=(
    "model_engine=megatron"
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=${ACTOR_TP:=2}"
    "actor_rollout_ref.actor.megatron.pipeline_model_parallel_size=${ACTOR_PP:=2}"
    "actor_rollout_ref.actor.megatron.context_parallel_size=${ACTOR_CP:=2}"
    "actor_rollout_ref.actor.megatron.expert_model_parallel_size=${ACTOR_EP:=4}"
    "actor_rollout_ref.actor.megatron.expert_tensor_parallel_size=${ACTOR_ETP:=1}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_granularity=${RECOMPUTE_GRANULARITY:=full}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_method=${RECOMPUTE_METHOD:=uniform}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_num_layers=${RECOMPUTE_LAYERS:=1}"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    # a GPU: 20,480 a micro batch, two samples of full length
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=10240}"
    "actor_rollout_ref.actor.megatron.param_offload=${PARAM_OFFLOAD:=True}"
    "actor_rollout_ref.actor.megatron.optimizer_offload=${OPTIMIZER_OFFLOAD:=True}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=8}"
    # 40 GB: 7.6 of weights, 32 of cache; 0.25 there, for 2,048 tokens
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.5}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=9216}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=5}"
    "data.val_max_samples=${VAL_ROWS:=500}"
    # the model card forbids greedy decoding for thinking
    "actor_rollout_ref.rollout.val_kwargs.temperature=${VAL_TEMPERATURE:=0.6}"
    "actor_rollout_ref.rollout.val_kwargs.top_p=${VAL_TOP_P:=0.95}"
    "actor_rollout_ref.rollout.val_kwargs.n=${VAL_N:=1}" # answers to a held-out problem; above 1: maj@k, best@k too
    "trainer.test_freq=${TEST_FREQ:=10}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${MODEL[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
