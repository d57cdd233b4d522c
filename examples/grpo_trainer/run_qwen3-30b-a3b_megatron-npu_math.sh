#!/usr/bin/env bash
# GRPO | Qwen3-30B-A3B | Megatron on Ascend NPUs | MATH
# Hardware: 1 node of 16 NPUs with 64 GB (Atlas A3). Time: not published.
# Source: algorithm as in the recipe for GPUs; TP2, ETP1, rollout TP8 and its 70 % as in verl's nightly test of this
# model on such a node (tests/special_npu/nightly_ci_ascend/run_gspo_qwen3_30b_megatron_npu.sh). Other than for GPUs:
# Adam stays on the 16 NPUs, which have room for it, and the older bridge.
# Bridge: mbridge, as in that test; of verl's nightly tests on NPUs only those of Qwen3.5 take Megatron-Bridge.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-30b-a3b_megatron-npu_math.sh   check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-30b-a3b_megatron-npu_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-30b-a3b_megatron-npu_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=16}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen3-30B-A3B}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/math/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/math/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=512}" # 14 steps an epoch
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=8192}" # 2,048 in the test
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=8}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=128}"
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.optim.lr_warmup_steps=${LR_WARMUP_STEPS:=10}"
    "actor_rollout_ref.actor.clip_ratio_low=${CLIP_RATIO_LOW:=0.2}"
    "actor_rollout_ref.actor.clip_ratio_high=${CLIP_RATIO_HIGH:=0.28}"
    "actor_rollout_ref.actor.use_kl_loss=False"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0}" # and no reference model
    "actor_rollout_ref.actor.clip_ratio_c=10.0"
    "actor_rollout_ref.actor.optim.weight_decay=0.1"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)

# Memory: at EP16 an NPU has 1.8 B parameters of experts at 18 bytes, and half of the other 1.5 B at 7.5: 35.8 GiB. At
# the test's EP8, made for half as many tokens, it is 45.9. Logits of 75,968 at 10,240 tokens: 8.7 GiB; 49 in all.
ACTOR=(
    "model_engine=megatron"
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=${ACTOR_TP:=2}"
    "actor_rollout_ref.actor.megatron.expert_model_parallel_size=${ACTOR_EP:=16}"
    "actor_rollout_ref.actor.megatron.expert_tensor_parallel_size=${ACTOR_ETP:=1}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_granularity=${RECOMPUTE_GRANULARITY:=full}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_method=${RECOMPUTE_METHOD:=uniform}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_num_layers=${RECOMPUTE_LAYERS:=1}"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=10240}" # one sample is at most 9,216
    "actor_rollout_ref.actor.megatron.param_offload=${PARAM_OFFLOAD:=True}"
    "actor_rollout_ref.actor.megatron.optimizer_offload=${OPTIMIZER_OFFLOAD:=True}"
    "actor_rollout_ref.actor.megatron.vanilla_mbridge=True"
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_router_dtype=fp32"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=8}"
    # 45 GB: 7.6 of weights, 37 of cache
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.7}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=9216}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=10}" # 140 steps
    "data.val_max_samples=${VAL_ROWS:=500}"    # of 5,000
    # the model card forbids greedy decoding for thinking
    "actor_rollout_ref.rollout.val_kwargs.temperature=${VAL_TEMPERATURE:=0.6}"
    "actor_rollout_ref.rollout.val_kwargs.top_p=${VAL_TOP_P:=0.95}"
    "actor_rollout_ref.rollout.val_kwargs.n=${VAL_N:=1}" # answers to a held-out problem; above 1: maj@k, best@k too
    "trainer.test_freq=${TEST_FREQ:=10}"
    "trainer.save_freq=${SAVE_FREQ:=50}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=1}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
