#!/usr/bin/env bash
# GRPO | DeepSeek-R1-Distill-Qwen-7B | FSDP2 on Ascend NPUs | MATH
# Hardware: 1 node of 8 NPUs with 64 GB (Atlas A2; an A3 node has 16: NGPUS_PER_NODE=16). Time: not published.
# Source: batch, group, lengths and temperature of Skywork-OR1's or1_scripts/train/7b_8k.sh, as the recipe for GPUs.
# Other than there: every sample is shared by 2 NPUs, two NPUs hold a copy of the rollout engine, and that gets 60 %
# of 64 GB.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-7b_fsdp-npu_math.sh   check, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-7b_fsdp-npu_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-7b_fsdp-npu_math.sh             run, or resume
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
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=256}"
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=8192}"
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=16}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=256}"
    "actor_rollout_ref.rollout.temperature=${TEMPERATURE:=1.0}" # as Skywork-OR1
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=False"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0}"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)

# Memory: 14.2 GiB of weights, gradients and Adam, 17.7 at the optimizer step. Logits of 152,064 take up to 31.3 GiB for
# 18,432 tokens, too much beside the kernels and buffers of 64 GB. SP2 halves that and the 3.4 GiB of kept activations:
# 32 GiB in all.
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    # 14 query and 2 key-value heads each
    "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size=${SP_SIZE:=2}"
    "actor_rollout_ref.ref.fsdp_config.ulysses_sequence_parallel_size=${SP_SIZE}"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    # tokens a micro batch and NPU: 18,432 for the two
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=9216}"
    "actor_rollout_ref.actor.fsdp_config.param_offload=${PARAM_OFFLOAD:=True}"
    "actor_rollout_ref.actor.fsdp_config.optimizer_offload=${OPTIMIZER_OFFLOAD:=True}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=2}"
    # 38 GB: 7.6 of weights, 30 of cache: 28 KiB a token and NPU
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.6}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=9216}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=5}" # 145 steps
    "data.val_max_samples=${VAL_ROWS:=500}"   # of MATH's 5,000
    # greedy decoding repeats itself without end, says the model card
    "actor_rollout_ref.rollout.val_kwargs.temperature=${VAL_TEMPERATURE:=0.6}"
    "actor_rollout_ref.rollout.val_kwargs.top_p=${VAL_TOP_P:=0.95}"
    "actor_rollout_ref.rollout.val_kwargs.n=${VAL_N:=1}" # answers to a held-out problem; above 1: maj@k, best@k too
    "trainer.test_freq=${TEST_FREQ:=10}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
