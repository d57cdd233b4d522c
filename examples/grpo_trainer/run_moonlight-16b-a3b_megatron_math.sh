#!/usr/bin/env bash
# GRPO | Moonlight-16B-A3B-Instruct | Megatron | MATH
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: batches, lengths and KL of verl's examples/grpo_trainer/run_moonlight_16b_a3b_megatron.sh, which spreads the
# model over 3 nodes and needs weights converted beforehand; layout of slime's scripts/run-moonlight-16B-A3B.sh: one
# node.
# Bridge: Megatron-Bridge, verl's default, has DeepseekV3ForCausalLM, which this model is, and reads the published
# weights.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_moonlight-16b-a3b_megatron_math.sh   check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_moonlight-16b-a3b_megatron_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_moonlight-16b-a3b_megatron_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=moonshotai/Moonlight-16B-A3B-Instruct}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/math/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/math/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=192}" # 39 steps an epoch of 7,494 rows
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=2048}"
    "data.filter_overlong_prompts=True"
    "data.trust_remote_code=True" # the tokenizer is code that comes with the model
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=64}"
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.001}"
    # Megatron would move the routers' biases by 0.001 an update, away from those the rollout sampled with.
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_router_bias_update_rate=0.0"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)
MODEL=(
    "actor_rollout_ref.model.trust_remote_code=True"
)

# Memory: experts are 14.4 of 16.0 B parameters. At EP8 a GPU has 1.8 B of them at 18 bytes, and at TP4 0.4 B others at
# 12: 34.5 GiB with Adam, which slime puts on the host. A micro batch of 8,192 tokens: 0.2 GiB kept, 3.8 for logits of
# 40,960, 2 for the layer at work: 43 GiB with CUDA and NCCL.
ACTOR=(
    "model_engine=megatron"
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=${ACTOR_TP:=4}"
    "actor_rollout_ref.actor.megatron.expert_model_parallel_size=${ACTOR_EP:=8}"
    "actor_rollout_ref.actor.megatron.expert_tensor_parallel_size=${ACTOR_ETP:=1}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_granularity=${RECOMPUTE_GRANULARITY:=full}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_method=${RECOMPUTE_METHOD:=uniform}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_num_layers=${RECOMPUTE_LAYERS:=1}"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=8192}" # one sample is at most 3,072
    "actor_rollout_ref.actor.megatron.param_offload=${PARAM_OFFLOAD:=True}"
    "actor_rollout_ref.actor.megatron.optimizer_offload=${OPTIMIZER_OFFLOAD:=True}"
    "actor_rollout_ref.ref.megatron.param_offload=${REF_OFFLOAD:=True}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=4}"
    # 48 GB: 8 of weights, 39 of cache: 1.2 M tokens
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.6}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=3072}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}"
    "trainer.test_freq=${TEST_FREQ:=10}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=1}" # 223 GB each, 14 bytes a parameter
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${MODEL[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
