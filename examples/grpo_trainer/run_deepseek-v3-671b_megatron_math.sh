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

MODEL_PATH=${MODEL_PATH:-deepseek-ai/DeepSeek-V3}
NNODES=${NNODES:-12}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-96} # 78 steps an epoch of 7,496 rows
ROLLOUT_N=${ROLLOUT_N:-8}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-32}
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-2048}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-8192}
REWARDS=${REWARDS:-correctness:1.0} # the published run also punished lengths above 4,096
ACTOR_LR=${ACTOR_LR:-1e-6}
LR_WARMUP_STEPS=${LR_WARMUP_STEPS:-10}
CLIP_RATIO_LOW=${CLIP_RATIO_LOW:-0.2}
CLIP_RATIO_HIGH=${CLIP_RATIO_HIGH:-0.28}
KL_LOSS_COEF=${KL_LOSS_COEF:-0.001}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-1}

# Memory: experts are 654 of 671 B parameters. At EP8 x PP12 the last stage, the fullest, has 8.6 B a GPU: 48.9 GiB for
# bf16 weights and fp32 gradients. Adam on the host: 671 GB a node, weights of actor and reference the rest of 1,500.
# Logits of 16,160 at 10,240 tokens: 1.8 GiB; CUDA and the many NCCL groups 10: 61 GiB.
ACTOR_TP=${ACTOR_TP:-8}
ACTOR_PP=${ACTOR_PP:-12} # 61 layers: 5 a stage and 6 in the last
ACTOR_EP=${ACTOR_EP:-8}
ACTOR_ETP=${ACTOR_ETP:-1}
RECOMPUTE_GRANULARITY=${RECOMPUTE_GRANULARITY:-full}
RECOMPUTE_METHOD=${RECOMPUTE_METHOD:-uniform}
RECOMPUTE_LAYERS=${RECOMPUTE_LAYERS:-1}
PPO_MAX_TOKEN_LEN=${PPO_MAX_TOKEN_LEN:-10240} # tokens a micro batch: one sample of full length
PARAM_OFFLOAD=${PARAM_OFFLOAD:-True}
OPTIMIZER_OFFLOAD=${OPTIMIZER_OFFLOAD:-False} # Adam is on the host already
ROLLOUT_TP=${ROLLOUT_TP:-32}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # 58 GB: 42 of weights, 15 of cache: 210,000 tokens

VAL_ROWS=${VAL_ROWS:-500}
VAL_TEMPERATURE=${VAL_TEMPERATURE:-1.0}
VAL_TOP_P=${VAL_TOP_P:-0.7}
TEST_FREQ=${TEST_FREQ:-10}
SAVE_FREQ=${SAVE_FREQ:-26}
KEEP_CHECKPOINTS=${KEEP_CHECKPOINTS:-1} # 9.4 TB each, 14 bytes a parameter

ACTOR=(
    "+actor_rollout_ref.actor.optim.override_optimizer_config.optimizer_cpu_offload=True"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.optimizer_offload_fraction=1.0"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.overlap_cpu_optimizer_d2h_h2d=True"
    "+actor_rollout_ref.actor.optim.override_optimizer_config.use_precision_aware_optimizer=True" # the offload needs it
    "actor_rollout_ref.actor.clip_ratio_c=10.0"
    "actor_rollout_ref.actor.optim.weight_decay=0.1"
    "+actor_rollout_ref.actor.megatron.override_transformer_config.num_layers_in_last_pipeline_stage=6"
    # DeepSeek ended its own training without moving the routers' biases; Megatron would by 0.001 an update.
    "+actor_rollout_ref.actor.megatron.override_transformer_config.moe_router_bias_update_rate=0.0"
)
ROLLOUT=(
    "actor_rollout_ref.rollout.enforce_eager=True"
)

launch::run "${ACTOR[@]}" "${ROLLOUT[@]}" "$@"
