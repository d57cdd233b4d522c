#!/usr/bin/env bash
# GRPO | Qwen2-7B-Instruct | Megatron, vLLM rollout | GSM8K
# Hardware: 1 node of 8 GPUs with 80 GB. Time: 105 steps of about 200 s, 6 hours (published log, GSM8K+MATH, 211 s).
# Expect: 0.896 on the GSM8K test set (verl's published baseline for this model, algorithm and parallel layout).
#
#   python data_prep/gsm8k.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen2-7b_megatron_gsm8k.sh      check everything, print the command
#   bash examples/grpo_trainer/run_qwen2-7b_megatron_gsm8k.sh                run, or resume
#   NNODES=2 bash ... trainer.total_epochs=1                                 a knob, and any of verl's own keys
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

##### knobs #####
MODEL_PATH=${MODEL_PATH:-Qwen/Qwen2-7B-Instruct}
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

# Algorithm: verl's baseline for Qwen2-7B on GSM8K (docs/algo/baseline.md), whose log these values come from.
TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-1024}       # prompts a step; 7,473 training rows make 7 steps an epoch
ROLLOUT_N=${ROLLOUT_N:-5}                        # the group: samples a prompt
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-256}  # prompts an update: 4 updates a step
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-512}      # the longest GSM8K prompt has 1,052 characters
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-1024} # answers average 150 to 210 tokens
ACTOR_LR=${ACTOR_LR:-1e-6}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001} # low_var_kl (k3) against the initial policy, in the loss
REWARDS=${REWARDS:-correctness:1.0} # 1 for the right number, else 0
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15}

# Memory: 7.6 B parameters at TP2 x PP2 x DP2 take 14.2 GiB of bf16 weights and fp32 gradients a GPU, and 21.3 GiB of
# sharded Adam state and master weights; with 2.6 GiB of CUDA and NCCL that is 38 GiB beside the rollout engine.
ACTOR_TP=${ACTOR_TP:-2}
ACTOR_PP=${ACTOR_PP:-2}
ROLLOUT_TP=${ROLLOUT_TP:-2}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.4} # 32 GiB: 7.1 for the weights at TP2, the rest for the KV cache
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-16384}         # tokens a micro batch; one sample is at most 1,536
OFFLOAD=${OFFLOAD:-False}                             # True: weights and Adam on the host between phases, for 40 GB GPUs

TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-20}

##### arrays #####
DATA=(
    "data.train_files='${DATA_DIR}/gsm8k/train.parquet'"
    "data.val_files='${DATA_DIR}/gsm8k/test.parquet'"
    "data.train_batch_size=${TRAIN_BATCH_SIZE}"
    "data.max_prompt_length=${MAX_PROMPT_LENGTH}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH}"
    "data.filter_overlong_prompts=True"
    "data.truncation=error"
)
MODEL=(
    "model_engine=megatron"
    "actor_rollout_ref.model.path='${MODEL_PATH}'"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "algorithm.use_kl_in_reward=False"
)
ACTOR=(
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE}"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF}"
    "actor_rollout_ref.actor.kl_loss_type=low_var_kl"
    "actor_rollout_ref.actor.entropy_coeff=0"
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=${ACTOR_TP}"
    "actor_rollout_ref.actor.megatron.pipeline_model_parallel_size=${ACTOR_PP}"
    "actor_rollout_ref.actor.megatron.param_offload=${OFFLOAD}"
    "actor_rollout_ref.actor.megatron.optimizer_offload=${OFFLOAD}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=vllm"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP}"
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION}"
    "actor_rollout_ref.rollout.max_model_len=$((MAX_PROMPT_LENGTH + MAX_RESPONSE_LENGTH))"
)
REF=(
    # verl copies the actor's parallel sizes to the reference; only its memory is its own
    "actor_rollout_ref.ref.megatron.param_offload=True"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards='${REWARDS}'"
)
TRAINER=(
    "trainer.nnodes=${NNODES}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE}"
    "trainer.total_epochs=${TOTAL_EPOCHS}"
    "trainer.test_freq=${TEST_FREQ}"
    "trainer.save_freq=${SAVE_FREQ}"
    "trainer.max_actor_ckpt_to_keep=2"
)

launch::run "${DATA[@]}" "${MODEL[@]}" "${ALGORITHM[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${REF[@]}" "${REWARD[@]}" "${TRAINER[@]}" "$@"
