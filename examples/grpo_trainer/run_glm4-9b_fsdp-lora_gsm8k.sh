#!/usr/bin/env bash
# GRPO | GLM-4-9B-0414 | FSDP2, LoRA | GSM8K
# Hardware: 2 GPUs with 80 GB. Time: not published.
# Source: verl has no recipe for this model. Rank, learning rate, batch and lengths are those of verl's published LoRA
# runs of Qwen2.5 on GSM8K (docs/algo/baseline.md: 7B 93.4, 14B 94.6); memory by the arithmetic below.
# Not run on a GPU yet.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_glm4-9b_fsdp-lora_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_glm4-9b_fsdp-lora_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_glm4-9b_fsdp-lora_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=2}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=zai-org/GLM-4-9B-0414}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/gsm8k/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/gsm8k/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=64}" # 116 steps an epoch
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=512}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=1024}"
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    # = the train batch: one update a step, strictly on-policy
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=64}"
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=3e-5}" # thirty times that of full training
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.001}" # against the base model, the adapter switched off
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)
MODEL=(
    "actor_rollout_ref.model.lora_rank=${LORA_RANK:=32}" # as published
    "actor_rollout_ref.model.lora_alpha=${LORA_ALPHA:=32}"
    # All linear layers but gate_up_proj: GLM-4 has it in one piece, and verl hands its adapter over so; vLLM 0.28 wants one
    # adapter for each half.
    "actor_rollout_ref.model.target_modules=${LORA_TARGETS:=[q_proj,k_proj,v_proj,o_proj,down_proj]}"
)

# Memory: the frozen 9.4 B parameters in fp32 over 2 GPUs: 17.5 GiB a GPU. A micro batch of 16,384 tokens: 5.0 GiB of
# kept activations, at most 18.5 for logits of 151,552, 2.3 for unsharded embeddings; 46 GiB in all.
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=16384}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=2}"           # 2 key-value heads
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.5}" # 40 GiB beside the 17.5
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=1536}"                  # prompt + response
    # the base weights come from the files
    "actor_rollout_ref.rollout.load_format=safetensors"
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=1}"
    "trainer.test_freq=${TEST_FREQ:=20}"
    "trainer.save_freq=${SAVE_FREQ:=20}" # only the adapter and its states: small
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${MODEL[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
