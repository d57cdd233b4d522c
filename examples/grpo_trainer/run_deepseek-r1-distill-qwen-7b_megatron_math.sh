#!/usr/bin/env bash
# GRPO | DeepSeek-R1-Distill-Qwen-7B | Megatron | MATH
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: algorithm of Skywork-OR1's or1_scripts/train/7b_8k.sh for this model; parallel layout of verl's published
# Megatron baseline for Qwen2-7B, which has the same shape (28 layers, 28 and 4 heads); memory by the arithmetic
# below.
# Bridge: Megatron-Bridge, verl's default, has Qwen2ForCausalLM, which this model is.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-7b_megatron_math.sh   check, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-7b_megatron_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-7b_megatron_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=deepseek-ai/DeepSeek-R1-Distill-Qwen-7B}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/math/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/math/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=256}" # 4,096 samples a step
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=8192}" # thought and answer
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=16}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=256}" # one update a step
    "actor_rollout_ref.rollout.temperature=${TEMPERATURE:=1.0}"               # 0.6 in DeepScaleR's recipe
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=False"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0}" # no reference model
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)

# Memory: 7.6 B parameters at TP2 x PP2 x DP2, 12 bytes each: 21.3 GiB a GPU. Without recomputation 18,432 tokens would
# keep 29 GiB of activations; with it 1.7, and 1.0 for the layer at work. fp32 logits of 76,032: 15.7. With 2.6 of CUDA
# and NCCL 42 GiB.
ACTOR=(
    "model_engine=megatron"
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=${ACTOR_TP:=2}"
    "actor_rollout_ref.actor.megatron.pipeline_model_parallel_size=${ACTOR_PP:=2}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_granularity=${RECOMPUTE_GRANULARITY:=full}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_method=${RECOMPUTE_METHOD:=uniform}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_num_layers=${RECOMPUTE_LAYERS:=1}"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=18432}" # two samples of full length
    "actor_rollout_ref.actor.megatron.param_offload=${PARAM_OFFLOAD:=True}"
    "actor_rollout_ref.actor.megatron.optimizer_offload=${OPTIMIZER_OFFLOAD:=True}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=1}"
    # 56 GB: 15 of weights, 40 of cache
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.7}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=9216}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=5}" # of 29 steps
    "data.val_max_samples=${VAL_ROWS:=500}"   # of 5,000
    # greedy decoding repeats itself without end, says the model card
    "actor_rollout_ref.rollout.val_kwargs.temperature=${VAL_TEMPERATURE:=0.6}"
    "actor_rollout_ref.rollout.val_kwargs.top_p=${VAL_TOP_P:=0.95}"
    "actor_rollout_ref.rollout.val_kwargs.n=${VAL_N:=1}" # answers to a held-out problem; above 1: maj@k, best@k too
    "trainer.test_freq=${TEST_FREQ:=10}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
