#!/usr/bin/env bash
# GRPO | Qwen3-235B-A22B | Megatron | MATH
# Hardware: 8 nodes of 8 GPUs with 80 GB and 1 TB of memory. Time: not published for verl.
# Source: verl's examples/grpo_trainer/run_qwen3_235b_a22b_megatron.sh and its table of layouts (docs/perf/dpsk.md).
# The script's layout cannot be: without ETP1, EP4 x ETP4 x PP8 are 128 GPUs of 64, and its rollout EP64 is not TP8 x
# DP1. Rollout TP of NeMo-RL's recipe for this model (grpo-qwen3-235b-16n8g.yaml).
# Bridge: Megatron-Bridge, verl's default, has Qwen3MoeForCausalLM.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_qwen3-235b-a22b_megatron_math.sh   check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_qwen3-235b-a22b_megatron_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_qwen3-235b-a22b_megatron_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=8}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen3-235B-A22B}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/math/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/math/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=128}" # 58 steps an epoch of 7,494 rows
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=1024}"
    # its thoughts average 5,700 tokens (NeMo-RL, performance summary)
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=8192}"
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=16}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=128}" # one update a step
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    # with the decay of 0.1 below, of its predecessor run_qwen3-235b_megatron_96gb.sh
    "actor_rollout_ref.actor.optim.lr_warmup_steps=${LR_WARMUP_STEPS:=10}"
    "actor_rollout_ref.actor.clip_ratio_low=${CLIP_RATIO_LOW:=0.2}"
    "actor_rollout_ref.actor.clip_ratio_high=${CLIP_RATIO_HIGH:=0.28}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.001}"
    "actor_rollout_ref.actor.optim.weight_decay=0.1"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    # 1 if the boxed answer is right, else 0
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)

# Memory: experts are 227 of 235 B parameters, 3.5 B a GPU at EP8 x PP8: 21.2 GiB for bf16 weights and fp32 gradients;
# the table's EP4, meant for 96 GB, makes it 41.1. Adam on the host: 353 GB a node. A micro batch of 10,240 tokens:
# 1.9 GiB kept for 8 in flight, 4.3 for logits of 37,984, 10 for CUDA and the many NCCL groups: 38 GiB.
ACTOR=(
    "model_engine=megatron"
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=${ACTOR_TP:=4}"
    # 94 layers: 11 in the first and last stage, which hold the embeddings, 12 in the others
    "actor_rollout_ref.actor.megatron.pipeline_model_parallel_size=${ACTOR_PP:=8}"
    "actor_rollout_ref.actor.megatron.expert_model_parallel_size=${ACTOR_EP:=8}"
    "actor_rollout_ref.actor.megatron.expert_tensor_parallel_size=${ACTOR_ETP:=1}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_granularity=${RECOMPUTE_GRANULARITY:=full}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_method=${RECOMPUTE_METHOD:=uniform}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_num_layers=${RECOMPUTE_LAYERS:=1}"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=10240}" # one sample is at most 9,216
    "actor_rollout_ref.actor.megatron.param_offload=${PARAM_OFFLOAD:=True}"
    "actor_rollout_ref.actor.megatron.optimizer_offload=${OPTIMIZER_OFFLOAD:=True}"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.optimizer_cpu_offload=True"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.optimizer_offload_fraction=1.0"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.overlap_cpu_optimizer_d2h_h2d=True"
    # the offload needs it
    "+actor_rollout_ref.actor.optim.override_optimizer_config.use_precision_aware_optimizer=True"
    "+actor_rollout_ref.actor.megatron.override_transformer_config.num_layers_in_first_pipeline_stage=11"
    "+actor_rollout_ref.actor.megatron.override_transformer_config.num_layers_in_last_pipeline_stage=11"
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_router_dtype=fp32"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=16}" # at 8, the weights are 59 of 80 GB
    # 48 GB: 29 of weights, 18 of cache: 380,000 tokens
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.6}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=9216}" # prompt + response
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=1}" # as there
    "data.val_max_samples=${VAL_ROWS:=500}"   # of 5,000: a quarter of a step's samples
    # the model card forbids greedy decoding for thinking
    "actor_rollout_ref.rollout.val_kwargs.temperature=${VAL_TEMPERATURE:=0.6}"
    "actor_rollout_ref.rollout.val_kwargs.top_p=${VAL_TOP_P:=0.95}"
    "actor_rollout_ref.rollout.val_kwargs.n=${VAL_N:=1}" # answers to a held-out problem; above 1: maj@k, best@k too
    "trainer.test_freq=${TEST_FREQ:=20}"
    "trainer.save_freq=${SAVE_FREQ:=20}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=1}" # 3.3 TB each, 14 bytes a parameter
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
