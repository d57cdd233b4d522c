#!/usr/bin/env bash
# GRPO with TRL | Qwen2.5-0.5B-Instruct | GSM8K
# Hardware: one GPU. Not run on one yet; the tutorial gives 17 GB of GPU memory and 4 to 6 hours for its own version.
# Source: a tutorial's notebook for TRL 0.14. README.md lists its arguments and what became of each.
#
#   bash examples/trl_trainer/run_qwen2.5-0.5b_trl_gsm8k.sh
#   bash examples/trl_trainer/run_qwen2.5-0.5b_trl_gsm8k.sh --report_to wandb        any field of trl.GRPOConfig
#   SMOKE=1 bash examples/trl_trainer/run_qwen2.5-0.5b_trl_gsm8k.sh                  two small steps on a CPU, no network
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if [[ -z ${PYTHON:-} ]]; then
    PYTHON=python3
    [[ -n ${VIRTUAL_ENV:-} || ! -x ${ROOT}/.venv/bin/python ]] || PYTHON=${ROOT}/.venv/bin/python
fi
CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES-0}
export CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES%%,*} # TRL refuses one process on several GPUs

SMOKE_ARGUMENTS=()
if [[ ${SMOKE:-0} == 1 ]]; then
    MODEL_PATH=${MODEL_PATH:-HuggingFaceTB/SmolLM2-135M-Instruct} # a Python package carries its weights
    OUTPUT_DIR=${OUTPUT_DIR:-${ROOT}/runs/run_qwen2.5-0.5b_trl_gsm8k.smoke}
    if [[ -z ${DATA:-} ]]; then
        DATA=${OUTPUT_DIR}/data
        "${PYTHON}" "${ROOT}/data_prep/gsm8k.py" --source "${ROOT}/data_prep/samples/gsm8k" --limit 16 --out "${DATA}"
    fi
    NUM_GENERATIONS=${NUM_GENERATIONS:-2}
    BATCH_SIZE=${BATCH_SIZE:-2}
    GRADIENT_ACCUMULATION_STEPS=${GRADIENT_ACCUMULATION_STEPS:-1}
    MAX_COMPLETION_LENGTH=${MAX_COMPLETION_LENGTH:-32}
    MAX_STEPS=${MAX_STEPS:-2}
    CUDA_VISIBLE_DEVICES=""
    SMOKE_ARGUMENTS=(--use_cpu True --save_strategy no) # no checkpoint that the next smoke run would resume
fi

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen2.5-0.5B-Instruct}
OUTPUT_DIR=${OUTPUT_DIR:-${ROOT}/runs/run_qwen2.5-0.5b_trl_gsm8k}
LEARNING_RATE=${LEARNING_RATE:-5e-6}
BETA=${BETA:-0.04}                                            # weight of the KL divergence from the initial policy
NUM_GENERATIONS=${NUM_GENERATIONS:-16}                        # the group: completions of a prompt
BATCH_SIZE=${BATCH_SIZE:-16}                                  # completions of a micro batch: one group
GRADIENT_ACCUMULATION_STEPS=${GRADIENT_ACCUMULATION_STEPS:-4} # groups of a step
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-256}
MAX_COMPLETION_LENGTH=${MAX_COMPLETION_LENGTH:-200}
EPOCHS=${EPOCHS:-1}        # 1,868 steps of 4 prompts
MAX_STEPS=${MAX_STEPS:--1} # above 0: end there
SAVE_STEPS=${SAVE_STEPS:-100}
REPORT_TO=${REPORT_TO:-tensorboard} # none, wandb, ...

exec "${PYTHON}" "${ROOT}/examples/trl_trainer/gsm8k.py" ${DATA:+--data "${DATA}"} \
    --model_name_or_path "${MODEL_PATH}" \
    --output_dir "${OUTPUT_DIR}" \
    --learning_rate "${LEARNING_RATE}" \
    --beta "${BETA}" \
    --num_generations "${NUM_GENERATIONS}" \
    --per_device_train_batch_size "${BATCH_SIZE}" \
    --gradient_accumulation_steps "${GRADIENT_ACCUMULATION_STEPS}" \
    --max_prompt_length "${MAX_PROMPT_LENGTH}" \
    --max_completion_length "${MAX_COMPLETION_LENGTH}" \
    --num_train_epochs "${EPOCHS}" \
    --max_steps "${MAX_STEPS}" \
    --save_steps "${SAVE_STEPS}" \
    --report_to "${REPORT_TO}" \
    "${SMOKE_ARGUMENTS[@]}" \
    "$@"
