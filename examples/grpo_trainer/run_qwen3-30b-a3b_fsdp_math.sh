#!/usr/bin/env bash
# GRPO | Qwen3-30B-A3B | FSDP2 | MATH
# Hardware: 2 nodes of 8 GPUs with 80 GB, or 1 of 8 with 141 GB (NNODES=1). Time: not published.
# Source: verl's examples/grpo_trainer/run_qwen3_30b_a3b_fsdp.sh. It asks for one node: with 80 GB, 57 GiB of weights,
# gradients and Adam then meet 56 of logits, of its 32,768 tokens a micro batch.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-30b-a3b_fsdp_math.sh   check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-30b-a3b_fsdp_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-30b-a3b_fsdp_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=2}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen3-30B-A3B}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/math/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/math/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=512}"        # 14 steps an epoch of 7,494 rows
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"     # 2,048 there; MATH fits into half
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=8192}" # 4,096 there; NeMo-RL's mean below 4,096 is 3,200
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=8}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=128}"
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.001}"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)

# Memory: 30.5 B parameters, fp32 with Adam over 16 GPUs: 28.4 GiB a GPU, 35.5 at the optimizer step. A micro batch of
# 10,240 tokens: 1.9 GiB of kept activations, at most 17.4 for logits of 151,936, 7 for three gathered layers of
# 0.6 B; 55 GiB in all. On one node of 141 GB it is 83.
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=10240}" # one sample is at most 9,216
    "actor_rollout_ref.actor.fsdp_config.param_offload=${PARAM_OFFLOAD:=True}"
    "actor_rollout_ref.actor.fsdp_config.optimizer_offload=${OPTIMIZER_OFFLOAD:=True}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=4}" # 4 key-value heads
    # 48 GB: 15 of weights, 32 of cache: 24 KiB a token and GPU
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.6}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=9216}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}"
    "data.val_max_samples=${VAL_ROWS:=500}"
    # the model card forbids greedy decoding for thinking
    "actor_rollout_ref.rollout.val_kwargs.temperature=${VAL_TEMPERATURE:=0.6}"
    "actor_rollout_ref.rollout.val_kwargs.top_p=${VAL_TOP_P:=0.95}"
    "actor_rollout_ref.rollout.val_kwargs.n=${VAL_N:=1}" # answers to a held-out problem; above 1: maj@k, best@k too
    "trainer.test_freq=${TEST_FREQ:=5}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=1}" # 366 GB each, 12 bytes a parameter
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
