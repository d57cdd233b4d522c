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

MODEL_PATH=${MODEL_PATH:-HuggingFaceTB/SmolLM2-135M-Instruct} # no hub needed: a Python package carries its weights
NNODES=${NNODES:-1}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-1} # training workers
VAL_ROWS=${VAL_ROWS:-32}            # of the 200 held-out posts, for time's sake
DATA_SEED=${DATA_SEED:-1}

LORA_RANK=${LORA_RANK:-16}               # 4.9 M trained parameters, 3.6 % of the model's
LORA_ALPHA=${LORA_ALPHA:-32}             # the adapter counts twice
LORA_TARGETS=${LORA_TARGETS:-all-linear} # attention and feed-forward layers
ACTOR_LR=${ACTOR_LR:-2e-5}               # the tutorial's
KL_LOSS_COEF=${KL_LOSS_COEF:-0.04}       # TRL's default of that time; the reference is the model without its adapter
REWARDS=${REWARDS:-length:-1.0}          # minus one for each character that the answer is shorter or longer than 50
TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-8}  # prompts a step: 32 samples
ROLLOUT_N=${ROLLOUT_N:-4}                # the group: samples a prompt
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-8}
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-512}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-96} # far more than 50 characters: what is cut off is far too long anyway
TOTAL_EPOCHS=${TOTAL_EPOCHS:-1000}             # the steps decide
TRAIN_STEPS=${TRAIN_STEPS:-8}

PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-2048} # tokens a micro batch: bounds the logits, 49,152 wide, to 0.4 GB
GRADIENT_CHECKPOINTING=${GRADIENT_CHECKPOINTING:-False}
ROLLOUT_TP=${ROLLOUT_TP:-1}

TEST_FREQ=${TEST_FREQ:-8}
SAVE_FREQ=${SAVE_FREQ:-8}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-1}

launch::run "$@"
