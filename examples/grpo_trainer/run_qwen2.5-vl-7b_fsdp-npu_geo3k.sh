#!/usr/bin/env bash
# GRPO | Qwen2.5-VL-7B-Instruct | FSDP2 on Ascend NPUs | Geometry3K
# Hardware: 1 node of 16 NPUs with 64 GB (Atlas 800T A3, or 200T A2 Box16). Time: not published.
# Source: the NPU branch of verl's examples/grpo_trainer/run_qwen2_5_vl_7b_fsdp.sh of August 2026. Beside the devices
# only memory differs from run_qwen2.5-vl-7b_fsdp_geo3k: half of an NPU for the rollout, a third of the token budget.
#
#   python data_prep/geo3k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2.5-vl-7b_fsdp-npu_geo3k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2.5-vl-7b_fsdp-npu_geo3k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2.5-vl-7b_fsdp-npu_geo3k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=16}" # an A3 card counts as two
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen2.5-VL-7B-Instruct}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/geo3k/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/geo3k/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=512}" # 60 steps in 15 epochs
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=2048}"
    "data.image_patch_size=${IMAGE_PATCH_SIZE:=14}" # of the vision tower
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=128}" # 640 samples, 40 an NPU
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.01}"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    # verl's own weights for Geometry3K
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:0.9,format:0.1}"
)

# Memory, should a sleeping engine give nothing back (vllm-ascend issue 977): it keeps 32 GB; 8.3 B parameters, fp32
# with Adam over 16 NPUs, take 10.4 GB at the optimizer step; a micro batch of 8,192 tokens takes at most 10.0 GB of
# logits, 1.6 of kept activations and 2.2 of unsharded embeddings: 59 GB with 3 for the runtime.
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    # more than two of the longest samples
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=8192}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=2}"
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.5}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=3072}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}"
    "trainer.test_freq=${TEST_FREQ:=5}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
