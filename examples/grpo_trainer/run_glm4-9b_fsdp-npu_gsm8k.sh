#!/usr/bin/env bash
# GRPO | GLM-4-9B-0414 | FSDP2 on Ascend NPUs | GSM8K
# Hardware: 1 node of 8 NPUs with 64 GB (Atlas 800T A2). Time: not published.
# Source: verl has no recipe for this model. Algorithm and batches as in run_glm4-9b_fsdp_gsm8k; offload and the
# rollout's share of memory from the NPU branch of verl's examples/grpo_trainer/run_qwen3_8b_fsdp.sh of August 2026.
# Unproven: verl 0.9.1 has no NPU kernels for model type glm4 (verl/models/transformers/npu_patch.py), and it has not
# been run on NPUs; watch training/rollout_probs_diff_mean in the first steps: 0.01 is too much.
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_glm4-9b_fsdp-npu_gsm8k.sh    check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_glm4-9b_fsdp-npu_gsm8k.sh      the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_glm4-9b_fsdp-npu_gsm8k.sh              run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}" # 16 on an A3, where a card counts as two
    "actor_rollout_ref.model.path=${MODEL_PATH:=zai-org/GLM-4-9B-0414}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/gsm8k/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/gsm8k/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=1024}" # 7 steps an epoch of 7,473 rows
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=512}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=1024}"
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=5}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=256}" # 1,280 samples, 160 an NPU
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.001}"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)

# Memory of the update: 9.4 B parameters, fp32 with Adam over 8 NPUs, take 23.5 GB at the optimizer step; a micro batch
# of 8,192 tokens at most 9.9 GB of logits, 2.7 of kept activations, 2.5 of unsharded embeddings: 42 GB with 3 for the
# runtime. The rollout's 19 GB fit beside that, should a sleeping engine give nothing back (vllm-ascend issue 977).
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=8192}" # 5 of the longest samples
    "actor_rollout_ref.actor.fsdp_config.param_offload=${PARAM_OFFLOAD:=True}"     # to the host during the rollout
    "actor_rollout_ref.actor.fsdp_config.optimizer_offload=${OPTIMIZER_OFFLOAD:=True}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=2}" # 2 key-value heads
    # 19 GB: 9.4 of weights, and a cache of 470,000 tokens
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.3}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=1536}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=15}"
    "trainer.test_freq=${TEST_FREQ:=5}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=2}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
