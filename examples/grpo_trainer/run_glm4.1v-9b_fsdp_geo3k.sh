#!/usr/bin/env bash
# GRPO | GLM-4.1V-9B-Thinking | FSDP2 | Geometry3K
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: verl's examples/grpo_trainer/run_glm4_1v_9b_fsdp.sh of August 2026, with a token budget in place of its micro
# batches of 10 samples; memory by the arithmetic below.
# verl 0.9.1 as released cannot train it: its forward pass of glm4v takes the vision tower's output for a tensor, which
# the transformers that it asks for (5.5 or newer) wraps (verl/models/transformers/glm4v.py, _get_input_embeds).
#
#   python data_prep/geo3k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_glm4.1v-9b_fsdp_geo3k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_glm4.1v-9b_fsdp_geo3k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_glm4.1v-9b_fsdp_geo3k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=zai-org/GLM-4.1V-9B-Thinking}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/geo3k/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/geo3k/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=512}"    # 4 steps an epoch, 60 in all
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}" # text and diagram
    # a thinking model: raise it if response_length/clip_ratio stays high
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=2048}"
    "data.image_patch_size=${IMAGE_PATCH_SIZE:=14}" # a token of the prompt is 28 x 28 pixels
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=128}" # 4 updates a step
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.01}"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    # verl's own weights for Geometry3K
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:0.9,format:0.1}"
)

# Memory: 10.3 B parameters, fp32 with Adam over 8 GPUs: 19.2 GiB a GPU, 24.0 at the optimizer step. A micro batch of
# 16,384 tokens: 5.0 GiB of kept activations (40 layers), at most 18.5 for logits of 151,552; 53 GiB in all.
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=16384}" # 5 of the longest samples
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=2}" # the model has 2 key-value heads
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.6}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=3072}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}"
    "trainer.test_freq=${TEST_FREQ:=5}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
