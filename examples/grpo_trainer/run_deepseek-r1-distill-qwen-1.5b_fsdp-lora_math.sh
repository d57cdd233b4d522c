#!/usr/bin/env bash
# GRPO | DeepSeek-R1-Distill-Qwen-1.5B | FSDP2, LoRA | MATH
# Hardware: 1 node of 2 GPUs with 48 GB. Time: not published.
# Source: lengths, group, temperature and KL of DeepScaleR's first stage, GRPO of all weights of this model (rllm,
# scripts/deepscaler/train/deepscaler_1.5b_8k.sh; there 128 prompts a step on 8 GPUs); rank, alpha and batch of verl's
# published GRPO-LoRA runs (docs/algo/baseline.md). That LoRA suffices for this model: Tina, arXiv 2504.15777.
# Reward: the chat template opens the thought in the prompt, so responses lack <think>; a format reward would be 0 for
# all.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-1.5b_fsdp-lora_math.sh   check, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-1.5b_fsdp-lora_math.sh     shrunken, on a CPU
#   bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-1.5b_fsdp-lora_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=2}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/math/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/math/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=64}" # 117 steps an epoch of 7,494 rows
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=8192}" # a thought that does not end scores 0
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=8}"
    # half, as in DeepScaleR: 2 updates a step
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=32}"
    "actor_rollout_ref.rollout.temperature=${TEMPERATURE:=0.6}"
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-5}" # ten times DeepScaleR's 1e-6, as verl advises for LoRA
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.001}" # the reference is the base without its adapter
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)
MODEL=(
    "actor_rollout_ref.model.lora_rank=${LORA_RANK:=32}"
    "actor_rollout_ref.model.lora_alpha=${LORA_ALPHA:=32}"
)

# Memory: 1.8 B frozen fp32 parameters over 2 GPUs are 3.3 GiB, the adapter little. A micro batch of 12,288 tokens: 1.0
# GiB of kept activations and at most 20.9 for logits of 151,936, which temperature 0.6 copies; 25 GiB in all.
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=12288}" # one sample is at most 9,216
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=1}"
    # 29 GB: 4 of weights, 25 of cache: 95 full samples
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.6}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=9216}" # prompt + response
    "actor_rollout_ref.rollout.load_format=safetensors"              # the base weights come from the files
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=3}"
    "data.val_max_samples=${VAL_ROWS:=500}" # of 5,000: a validation would cost as much as ten steps
    # greedy decoding repeats itself without end, says the model card
    "actor_rollout_ref.rollout.val_kwargs.temperature=${VAL_TEMPERATURE:=0.6}"
    "actor_rollout_ref.rollout.val_kwargs.top_p=${VAL_TOP_P:=0.95}"
    "actor_rollout_ref.rollout.val_kwargs.n=${VAL_N:=1}" # answers to a held-out problem; above 1: maj@k, best@k too
    "trainer.test_freq=${TEST_FREQ:=20}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${MODEL[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
