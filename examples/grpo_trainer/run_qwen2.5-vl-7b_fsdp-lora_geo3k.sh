#!/usr/bin/env bash
# GRPO | Qwen2.5-VL-7B-Instruct | FSDP2, LoRA | Geometry3K
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: verl's examples/tuning/lora/run_qwen2_5_vl_7b_fsdp.sh of August 2026, but for free_cache_engine=False: an
# engine that keeps its 48 GiB during the update leaves too little for a full micro batch.
#
#   python data_prep/geo3k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2.5-vl-7b_fsdp-lora_geo3k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen2.5-vl-7b_fsdp-lora_geo3k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen2.5-vl-7b_fsdp-lora_geo3k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen2.5-VL-7B-Instruct}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/geo3k/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/geo3k/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=512}"    # 4 steps an epoch of 2,101 rows
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}" # text, and one token for each 28 x 28 pixels of the diagram
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=2048}"
    "data.image_patch_size=${IMAGE_PATCH_SIZE:=14}" # pixels, of the vision tower
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=128}" # 4 updates a step
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=3e-6}"                      # three times that of full training
    "actor_rollout_ref.actor.use_kl_loss=True"
    # the reference is the base model, the adapter switched off: no second copy
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.01}"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    # verl's own weights for Geometry3K
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:0.9,format:0.1}"
)
MODEL=(
    "actor_rollout_ref.model.lora_rank=${LORA_RANK:=64}"   # vLLM has slots of 1, 8, 16, 32, 64, 128, ...
    "actor_rollout_ref.model.lora_alpha=${LORA_ALPHA:=32}" # the adapter counts half
    "actor_rollout_ref.model.exclude_modules='.*visual.*'" # no adapter in the vision tower: it stays as it is
)

# Memory: the frozen 8.3 B parameters in fp32 over 8 GPUs take 3.9 GiB a GPU, the adapters' states 0.3. The rest is the
# micro batch: at 24,576 tokens up to 27.8 GiB of logits and 4.6 of kept activations; 42 GiB in all.
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=24576}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=2}"
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.6}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=3072}" # prompt + response
    "actor_rollout_ref.rollout.load_format=safetensors"              # the base weights come from the files
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}" # 60 steps
    "trainer.test_freq=${TEST_FREQ:=5}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${MODEL[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
