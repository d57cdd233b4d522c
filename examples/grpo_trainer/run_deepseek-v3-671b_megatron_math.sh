#!/usr/bin/env bash
# GRPO | DeepSeek-V3 671B | Megatron | MATH
# Hardware: 12 nodes of 8 GPUs with 96 GB and 2 TB of memory. Time: 78 steps of about 1,700 s, 37 hours
# (docs/perf/dpsk.md of verl: 96 H20, responses of 1,960 tokens on average, rollout 1,050 s, 66 GB a GPU, 1,500 GB a
# node).
# Source: that run, examples/grpo_trainer/run_deepseek_v3_671b_megatron.sh of verl. It trained on DAPO-Math-17k, which
# is harder: TRAIN_FILES=data/dapo_math/train.parquet VAL_FILES=data/aime/aime24.parquet, after data_prep's dapo_math
# and aime. MATH is the default here because it brings rows to validate with.
# Bridge: Megatron-Bridge, verl's default, has DeepseekV3ForCausalLM; it makes the published FP8 weights bf16 as it
# reads them.
# Model: take the key quantization_config out of its config.json, else vLLM samples in FP8 what is trained in bf16.
#
#   python data_prep/math.py
#   DRY_RUN=1 bash examples/grpo_trainer/run_deepseek-v3-671b_megatron_math.sh   check everything, print the command
#   SMOKE=1 bash examples/grpo_trainer/run_deepseek-v3-671b_megatron_math.sh     the same on a CPU, shrunken
#   bash examples/grpo_trainer/run_deepseek-v3-671b_megatron_math.sh             run, or resume
set -euo pipefail
# shellcheck source=../lib/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"

# --- this cluster ----------------------------------------------------------------------------------------------------
CLUSTER=(
    "trainer.nnodes=${NNODES:=12}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=deepseek-ai/DeepSeek-V3}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/math/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/math/test.parquet}"
)

# --- the recipe ------------------------------------------------------------------------------------------------------
DATA=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=96}" # 78 steps an epoch of 7,494 rows
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=2048}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=8192}"
    "data.filter_overlong_prompts=True"
)
ALGORITHM=(
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=8}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=32}"
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}"
    "actor_rollout_ref.actor.optim.lr_warmup_steps=${LR_WARMUP_STEPS:=10}"
    "actor_rollout_ref.actor.clip_ratio_low=${CLIP_RATIO_LOW:=0.2}"
    "actor_rollout_ref.actor.clip_ratio_high=${CLIP_RATIO_HIGH:=0.28}"
    "actor_rollout_ref.actor.use_kl_loss=True"
    "actor_rollout_ref.actor.kl_loss_coef=${KL_LOSS_COEF:=0.001}"
    "actor_rollout_ref.actor.clip_ratio_c=10.0"
    "actor_rollout_ref.actor.optim.weight_decay=0.1"
    # DeepSeek ended its own training without moving the routers' biases; Megatron would by 0.001 an update.
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_router_bias_update_rate=0.0"
)
REWARD=(
    "reward.custom_reward_function.path=pkg://reward_score"
    # the published run also punished lengths above 4,096
    "++reward.custom_reward_function.reward_kwargs.rewards=${REWARDS:=correctness:1.0}"
)

# Memory: experts are 654 of 671 B parameters. At EP8 x PP12 the last stage, the fullest, has 8.6 B a GPU: 48.9 GiB for
# bf16 weights and fp32 gradients. Adam on the host: 671 GB a node, weights of actor and reference the rest of 1,500.
# Logits of 16,160 at 10,240 tokens: 1.8 GiB; CUDA and the many NCCL groups 10: 61 GiB.
ACTOR=(
    "model_engine=megatron"
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=${ACTOR_TP:=8}"
    # 61 layers: 5 a stage and 6 in the last
    "actor_rollout_ref.actor.megatron.pipeline_model_parallel_size=${ACTOR_PP:=12}"
    "actor_rollout_ref.actor.megatron.expert_model_parallel_size=${ACTOR_EP:=8}"
    "actor_rollout_ref.actor.megatron.expert_tensor_parallel_size=${ACTOR_ETP:=1}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_granularity=${RECOMPUTE_GRANULARITY:=full}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_method=${RECOMPUTE_METHOD:=uniform}"
    "actor_rollout_ref.actor.megatron.override_transformer_config.recompute_num_layers=${RECOMPUTE_LAYERS:=1}"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=${PPO_MAX_TOKEN_LEN:=10240}" # one sample of full length
    "actor_rollout_ref.actor.megatron.param_offload=${PARAM_OFFLOAD:=True}"
    "actor_rollout_ref.actor.megatron.optimizer_offload=${OPTIMIZER_OFFLOAD:=False}" # Adam is on the host already
    "+actor_rollout_ref.actor.optim.override_optimizer_config.optimizer_cpu_offload=True"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.optimizer_offload_fraction=1.0"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.overlap_cpu_optimizer_d2h_h2d=True"
    # the offload needs it
    "+actor_rollout_ref.actor.optim.override_optimizer_config.use_precision_aware_optimizer=True"
    "+actor_rollout_ref.actor.megatron.override_transformer_config.num_layers_in_last_pipeline_stage=6"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=32}"
    # 58 GB: 42 of weights, 15 of cache: 210,000 tokens
    "actor_rollout_ref.rollout.gpu_memory_utilization=${GPU_MEMORY_UTILIZATION:=0.6}"
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=10240}" # prompt + response
    "actor_rollout_ref.rollout.enforce_eager=True"
)
TRAINER=(
    "trainer.total_epochs=${TOTAL_EPOCHS:=1}"
    "data.val_max_samples=${VAL_ROWS:=500}"
    "actor_rollout_ref.rollout.val_kwargs.temperature=${VAL_TEMPERATURE:=1.0}"
    "actor_rollout_ref.rollout.val_kwargs.top_p=${VAL_TOP_P:=0.7}"
    "actor_rollout_ref.rollout.val_kwargs.n=${VAL_N:=1}" # answers to a held-out problem; above 1: maj@k, best@k too
    "trainer.test_freq=${TEST_FREQ:=10}"
    "trainer.save_freq=${SAVE_FREQ:=26}"
    "trainer.max_actor_ckpt_to_keep=${KEEP_CHECKPOINTS:=1}" # 9.4 TB each, 14 bytes a parameter
)

launch::run "${CLUSTER[@]}" "${DATA[@]}" "${ALGORITHM[@]}" "${REWARD[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${TRAINER[@]}" "$@"
