#!/usr/bin/env bash
# GRPO | Qwen3-VL-30B-A3B-Instruct | Megatron | Geometry3K
# Hardware: 1 node of 8 GPUs with 80 GB and 800 GB of host memory. Time: not published.
# Source: verl's examples/grpo_trainer/run_qwen3_vl_30b_a3b_megatron.sh of August 2026, in the layout that its header
# calls tested (TP4 EP8 without CP); without DeepEP, which is a package of its own. Memory by the arithmetic below.
#
#   python data_prep/geo3k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-vl-30b-a3b_megatron_geo3k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-vl-30b-a3b_megatron_geo3k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-vl-30b-a3b_megatron_geo3k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen3-VL-30B-A3B-Instruct}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/geo3k/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/geo3k/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=512}" # 4 steps an epoch, 60 in all
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=2048}"
    "data.image_patch_size=${IMAGE_PATCH_SIZE:=16}" # upstream leaves it at 14
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=128}" # 640 samples for 2 data-parallel groups
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.01}"
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_aux_loss_coeff=0.01" # even load
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_z_loss_coeff=0.001"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    # verl's own weights for Geometry3K
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:0.9,format:0.1}"
)

# Memory: of 31.1 B parameters 29.0 B are experts, 16 of 128 a GPU at EP8, and 2.1 B are shared out by TP4: at most
# 4.6 B a GPU with a whole vision tower, 25 GiB of bf16 weights and fp32 gradients. Adam and the master weights, 12
# bytes a parameter, stay on the host: 347 GiB; weights and gradients go there too during the rollout.
ACTOR=(
    "model_engine=megatron"
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=${ACTOR_TP:=4}" # 32 heads, 4 key-value heads
    "actor_rollout_ref.actor.megatron.expert_model_parallel_size=${ACTOR_EP:=8}"
    # unset it would be ACTOR_TP, and EP8 x ETP4 is more than 8 GPUs
    "actor_rollout_ref.actor.megatron.expert_tensor_parallel_size=${ACTOR_ETP:=1}"
    # keep one activation a layer
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_granularity=${RECOMPUTE_GRANULARITY:=full}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_method=${RECOMPUTE_METHOD:=uniform}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_num_layers=${RECOMPUTE_LAYERS:=1}"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    # logits of 151,936 over TP4: at most 2.3 GiB
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=8192}"
    "actor_rollout_ref.actor.megatron.param_offload=${PARAM_OFFLOAD:=True}"
    "actor_rollout_ref.actor.megatron.optimizer_offload=${OPTIMIZER_OFFLOAD:=True}"
    "actor_rollout_ref.ref.megatron.param_offload=${REF_OFFLOAD:=True}"
    # Adam on the host, as upstream has it: without it the experts' states alone are 41 GiB a GPU
    "+actor_rollout_ref.actor.optim.override_optimizer_config.optimizer_cpu_offload=True"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.optimizer_offload_fraction=1.0"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.overlap_cpu_optimizer_d2h_h2d=True"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.use_precision_aware_optimizer=True"
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_token_dispatcher_type=alltoall"
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_router_dtype=fp32" # as upstream
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=4}"
    # 56 GiB: 14.5 for the weights at TP4
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.7}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=3072}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}"
    "trainer.test_freq=${TEST_FREQ:=5}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
