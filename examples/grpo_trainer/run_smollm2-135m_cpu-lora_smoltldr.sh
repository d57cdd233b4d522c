#!/usr/bin/env bash
# GRPO | SmolLM2-135M-Instruct | FSDP2 on a CPU, LoRA | smoltldr
# Hardware: 2 CPU cores, 12 GiB of memory. Time: not measured yet.
# Source: a tutorial's first GRPO run, made with TRL and PEFT: this model family and data set, LoRA of rank 16 in all
# linear layers, a reward for length alone. It makes 1,000 updates of 2 prompts; here are 8 updates of 8 prompts.
#
#   python data_prep/smoltldr.py                                          2,000 posts, from a hub
#   python data_prep/smoltldr.py --source data_prep/samples/smoltldr      40 posts that come with the project
#   bash examples/grpo_trainer/run_smollm2-135m_cpu-lora_smoltldr.sh      run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=1}"
    # no hub needed: a Python package carries its weights
    "actor_rollout_ref.model.path=${MODEL_PATH:=HuggingFaceTB/SmolLM2-135M-Instruct}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/smoltldr/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/smoltldr/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=8}" # 32 samples
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=512}"
    # far more than 50 characters: what is cut off is far too long anyway
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=96}"
    "data.seed=${DATA_SEED:=1}"
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=4}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=8}"
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=2e-5}" # the tutorial's
    "actor_rollout_ref.actor.use_kl_loss=True"
    # TRL's default of that time; the reference is the model without its adapter
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.04}"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    # minus one for each character that the answer is shorter or longer than 50
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=length:-1.0}"
)
MODEL=(
    # 4.9 M trained parameters, 3.6 % of the model's
    "actor_rollout_ref.model.lora_rank=${LORA_RANK:=16}"
    "actor_rollout_ref.model.lora_alpha=${LORA_ALPHA:=32}"               # the adapter counts twice
    "actor_rollout_ref.model.target_modules=${LORA_TARGETS:=all-linear}" # attention and feed-forward layers
    "actor_rollout_ref.model.enable_gradient_checkpointing=${GRADIENT_CHECKPOINTING:=False}"
)
ACTOR=(
    "actor_rollout_ref.actor.strategy=fsdp2"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    # bounds the logits, 49,152 wide, to 0.4 GB
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=2048}"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=1}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=608}" # prompt + response
    "actor_rollout_ref.rollout.load_format=safetensors"             # the base weights come from the files
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=1000}" # the steps decide
    "trainer.total_training_steps=${TRAIN_STEPS:=8}"
    "data.val_max_samples=${VAL_ROWS:=32}" # of the 200 held-out posts, for time's sake
    "trainer.test_freq=${TEST_FREQ:=8}"
    "trainer.save_freq=${SAVE_FREQ:=8}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=1}"
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${MODEL[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
