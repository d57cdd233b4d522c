#!/usr/bin/env bash
# GRPO | DeepSeek-R1-Distill-Qwen-7B | FSDP2 | MATH
# Hardware: 1 node of 8 GPUs with 80 GB. Time: not published.
# Source: Skywork-OR1's 8K recipe, GRPO of this model on verl and one node of 8 GPUs (or1_scripts/train/7b_8k.sh),
# without its code problems, its adaptive entropy bonus and its rejection of groups that are all right or all wrong.
# Reward: the chat template opens the thought in the prompt, so responses lack <think>; a format reward would be 0 for
# all.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-7b_fsdp_math.sh   check, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-7b_fsdp_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_deepseek-r1-distill-qwen-7b_fsdp_math.sh             run, or resume
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
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=256}" # 29 steps an epoch of 7,494 rows
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=8192}" # a thought that does not end scores 0
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=16}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=256}" # one update a step: always on policy
    "actor_rollout_ref.rollout.temperature=${TEMPERATURE:=1.0}"               # as Skywork-OR1; DeepScaleR takes 0.6
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=False"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0}" # on policy, no reference model
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    # only what follows </think> counts
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)

# Memory: 7.6 B parameters, fp32 with Adam over 8 GPUs: 14.2 GiB a GPU, 17.7 at the optimizer step. A micro batch of
# 18,432 tokens: 3.4 GiB of kept activations (28 layers), at most 31.3 for logits of 152,064; 49 GiB in all.
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=18432}" # two samples of full length
    "actor_rollout_ref.actor.fsdp_config.param_offload=${PARAM_OFFLOAD:=True}"
    "actor_rollout_ref.actor.fsdp_config.optimizer_offload=${OPTIMIZER_OFFLOAD:=True}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=1}"
    # 56 GB: 15 of weights, 40 of cache: 75 full samples
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.7}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=9216}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=5}" # 145 steps; watch the validation
    "data.val_max_samples=${VAL_ROWS:=500}"   # of 5,000: a tenth of the time
    # greedy decoding repeats itself without end, says the model card
    "actor_rollout_ref.rollout.val_kwargs.temperature=${VAL_TEMPERATURE:=0.6}"
    "actor_rollout_ref.rollout.val_kwargs.top_p=${VAL_TOP_P:=0.95}"
    "actor_rollout_ref.rollout.val_kwargs.n=${VAL_N:=1}" # answers to a held-out problem; above 1: maj@k, best@k too
    "trainer.test_freq=${TEST_FREQ:=10}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
