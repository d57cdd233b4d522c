#!/usr/bin/env bash
# GRPO | GLM-4.5-Air 106B-A12B | Megatron | MATH
# Hardware: 8 nodes of 8 GPUs with 80 GB. Time: not published.
# Source: dapo/test_dapo_glm_air_megatron.sh of verl-recipe, for the base model on DAPO-Math-17k. Other than there:
# EP16 instead of EP8, and full recomputation, by the arithmetic below; its reference read weights from a path it did
# not set.
# Bridge: Megatron-Bridge, verl's default, has Glm4MoeForCausalLM, and keeps the routers' biases; the recipe used
# mbridge.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_glm4.5-air-106b-a12b_megatron_math.sh   check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_glm4.5-air-106b-a12b_megatron_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_glm4.5-air-106b-a12b_megatron_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=8}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=zai-org/GLM-4.5-Air}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/math/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/math/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=512}" # 14 steps an epoch of 7,494 rows
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=8192}"
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=16}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=128}"
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.optim.lr_warmup_steps=${LR_WARMUP_STEPS:=10}"
    "actor_rollout_ref.actor.clip_ratio_low=${CLIP_RATIO_LOW:=0.2}"
    "actor_rollout_ref.actor.clip_ratio_high=${CLIP_RATIO_HIGH:=0.28}"
    "actor_rollout_ref.actor.use_kl_loss=False"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0}" # no reference model
    "actor_rollout_ref.actor.clip_ratio_c=10.0"
    "actor_rollout_ref.actor.optim.weight_decay=0.1"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    # the recipe also punished lengths above 4,096
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)

# Memory: experts are 99.7 of 106.9 B parameters. At EP16 x PP2 a GPU has 3.1 B of them at 12 bytes, and 1.8 B others at
# 6.75: 46.1 GiB; at EP8 63.5. The four GPUs that share samples have at most 10,240 tokens each: 8.7 GiB of logits of
# 75,776, 1.8 kept, 3 for the layer at work; with CUDA and NCCL 63 GiB.
ACTOR=(
    "model_engine=megatron"
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=${ACTOR_TP:=2}"
    "actor_rollout_ref.actor.megatron.pipeline_model_parallel_size=${ACTOR_PP:=2}" # 23 of the 46 layers each
    "actor_rollout_ref.actor.megatron.context_parallel_size=${ACTOR_CP:=4}"
    "actor_rollout_ref.actor.megatron.expert_model_parallel_size=${ACTOR_EP:=16}"
    "actor_rollout_ref.actor.megatron.expert_tensor_parallel_size=${ACTOR_ETP:=1}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_granularity=${RECOMPUTE_GRANULARITY:=full}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_method=${RECOMPUTE_METHOD:=uniform}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_num_layers=${RECOMPUTE_LAYERS:=1}"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    # a GPU: 40,960 a micro batch, four samples of full length
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=10240}"
    "actor_rollout_ref.actor.megatron.param_offload=${PARAM_OFFLOAD:=True}"
    "actor_rollout_ref.actor.megatron.optimizer_offload=${OPTIMIZER_OFFLOAD:=True}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=8}" # 8 key-value heads
    # 40 GB: 27 of weights, 12 of cache: 500,000 tokens
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.5}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=9216}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=10}"
    "data.val_max_samples=${VAL_ROWS:=500}"
    "actor_rollout_ref.rollout.val_kwargs.temperature=${VAL_TEMPERATURE:=1.0}"
    "actor_rollout_ref.rollout.val_kwargs.top_p=${VAL_TOP_P:=0.7}"
    "actor_rollout_ref.rollout.val_kwargs.n=${VAL_N:=1}" # answers to a held-out problem; above 1: maj@k, best@k too
    "trainer.test_freq=${TEST_FREQ:=10}"
    "trainer.save_freq=${SAVE_FREQ:=50}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=1}" # 1.5 TB each, 14 bytes a parameter
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
