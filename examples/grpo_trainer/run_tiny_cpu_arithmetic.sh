#!/usr/bin/env bash
# GRPO | tiny Qwen2 (0.5 M parameters) | FSDP2 on a CPU | sums of two numbers below 100
# Hardware: 2 CPU cores, 6 GiB of memory. Time: about 3.5 minutes.
# Measured on two AMD EPYC cores, 2026-11-21: held-out accuracy 0.656 to 0.992, 5.3 s a step, 588 tokens/s,
# rollout/trainer difference 0.002; 44 s to the first step, 63 s in that run, the first in its home folder.
# A model that adds but forgets to carry learns to carry from nothing but right-or-wrong rewards.
#
#   bash examples/grpo_trainer/run_tiny_cpu_arithmetic.sh            runs, or resumes, runs/run_tiny_cpu_arithmetic
#   TRAIN_STEPS=40 bash ... actor_rollout_ref.actor.optim.lr=1e-4    a knob, and any of verl's own keys
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

##### knobs #####
MODEL_PATH=${MODEL_PATH:-tiny-arithmetic} # built once by grpo_launchpad/tiny_model.py, then cached
NGPUS_PER_NODE=${NGPUS_PER_NODE:-1}       # training workers; on a CPU two of them share the cores

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-32}       # prompts a step
ROLLOUT_N=${ROLLOUT_N:-8}                      # the group: samples a prompt, compared with each other
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-32} # = the train batch: one update a step, strictly on-policy
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-16}     # "<start>99+99=<end><start>" is 9 tokens
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-8}  # a sum and the end token are at most 4
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-8192}   # tokens a micro batch: all 256 samples fit into one

ACTOR_LR=${ACTOR_LR:-1e-4}          # a tiny model stands a hundred times the 1e-6 of a 7B one
KL_LOSS_COEF=${KL_LOSS_COEF:-0.0}   # above 0: keep close to the initial policy, at the cost of a reference model
REWARDS=${REWARDS:-correctness:1.0} # 1 for the exact sum, else 0
LORA_RANK=${LORA_RANK:-0}           # above 0: train an adapter of this rank instead of all weights
LORA_ALPHA=${LORA_ALPHA:-16}

TRAIN_STEPS=${TRAIN_STEPS:-20}
TEST_FREQ=${TEST_FREQ:-5}
SAVE_FREQ=${SAVE_FREQ:-5}

##### arrays #####
DATA=(
    "data.train_files='${DATA_DIR}/arithmetic/train.parquet'"
    "data.val_files='${DATA_DIR}/arithmetic/test.parquet'"
    "data.train_batch_size=${TRAIN_BATCH_SIZE}"
    "data.max_prompt_length=${MAX_PROMPT_LENGTH}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH}"
    "data.seed=1"
)
MODEL=(
    "actor_rollout_ref.model.path='${MODEL_PATH}'"
    "actor_rollout_ref.model.use_remove_padding=False"            # needs flash attention, which has no CPU kernel
    "actor_rollout_ref.model.enable_gradient_checkpointing=False" # saves memory that is not short here, at the cost of time
    "++actor_rollout_ref.model.override_config.attn_implementation=sdpa"
    "actor_rollout_ref.model.lora_rank=${LORA_RANK}"
    "actor_rollout_ref.model.lora_alpha=${LORA_ALPHA}"
    "actor_rollout_ref.model.target_modules=all-linear"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "algorithm.use_kl_in_reward=False"
)
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    "actor_rollout_ref.actor.fsdp_config.use_torch_compile=False" # compiling takes longer than this run
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE}"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN}"
    "actor_rollout_ref.actor.use_kl_loss=$([[ ${KL_LOSS_COEF} =~ ^0*\.?0*$ ]] && echo False || echo True)"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF}"
    "actor_rollout_ref.actor.kl_loss_type=low_var_kl"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=vllm"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=1"
    "actor_rollout_ref.rollout.enforce_eager=True"
    "actor_rollout_ref.rollout.max_model_len=$((MAX_PROMPT_LENGTH + MAX_RESPONSE_LENGTH))"
    "actor_rollout_ref.rollout.load_format=safetensors"
)
REF=(
    "actor_rollout_ref.ref.strategy=fsdp2"
    "actor_rollout_ref.ref.fsdp_config.use_torch_compile=False"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    "++reward.custom_reward_function.reward_kwargs.rewards='${REWARDS}'"
)
TRAINER=(
    "trainer.nnodes=1"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE}"
    "trainer.total_training_steps=${TRAIN_STEPS}"
    "trainer.total_epochs=1000" # the steps decide
    "trainer.val_before_train=True"
    "trainer.test_freq=${TEST_FREQ}"
    "trainer.save_freq=${SAVE_FREQ}"
    "trainer.max_actor_ckpt_to_keep=1"
)

launch::run "${DATA[@]}" "${MODEL[@]}" "${ALGORITHM[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${REF[@]}" "${REWARD[@]}" "${TRAINER[@]}" "$@"
