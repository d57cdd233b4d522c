#!/usr/bin/env bash
# GRPO with TRL | SmolLM-135M-Instruct, LoRA | smoltldr
# Hardware: one GPU, or a CPU and patience. Not run at full length yet.
# Source: a tutorial's first run with TRL and PEFT. README.md lists its arguments and what became of each.
#
#   bash examples/trl_trainer/run_smollm-135m_trl-lora_smoltldr.sh
#   USE_PEFT=False bash examples/trl_trainer/run_smollm-135m_trl-lora_smoltldr.sh --sync_ref_model True
#   SMOKE=1 bash examples/trl_trainer/run_smollm-135m_trl-lora_smoltldr.sh           two small steps on a CPU, no network
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
    OUTPUT_DIR=${OUTPUT_DIR:-${ROOT}/runs/run_smollm-135m_trl-lora_smoltldr.smoke}
    if [[ -z ${DATA:-} ]]; then
        DATA=${OUTPUT_DIR}/data
        "${PYTHON}" "${ROOT}/data_prep/smoltldr.py" --source "${ROOT}/data_prep/samples/smoltldr" --out "${DATA}"
    fi
    NUM_GENERATIONS=${NUM_GENERATIONS:-2}
    BATCH_SIZE=${BATCH_SIZE:-2}
    GRADIENT_ACCUMULATION_STEPS=${GRADIENT_ACCUMULATION_STEPS:-1}
    MAX_COMPLETION_LENGTH=${MAX_COMPLETION_LENGTH:-32}
    MAX_STEPS=${MAX_STEPS:-2}
    CUDA_VISIBLE_DEVICES=""
    SMOKE_ARGUMENTS=(--use_cpu True --save_strategy no) # no checkpoint that the next smoke run would resume
fi

MODEL_PATH=${MODEL_PATH:-HuggingFaceTB/SmolLM-135M-Instruct}
OUTPUT_DIR=${OUTPUT_DIR:-${ROOT}/runs/run_smollm-135m_trl-lora_smoltldr}
USE_PEFT=${USE_PEFT:-True} # False: train all weights
LORA_R=${LORA_R:-16}
LORA_ALPHA=${LORA_ALPHA:-32}
LORA_TARGET_MODULES=${LORA_TARGET_MODULES:-all-linear}
LEARNING_RATE=${LEARNING_RATE:-2e-5}
BETA=${BETA:-0.04}                    # weight of the KL divergence from the initial policy
NUM_GENERATIONS=${NUM_GENERATIONS:-4} # the group: completions of a prompt
BATCH_SIZE=${BATCH_SIZE:-4}           # completions of a micro batch
GRADIENT_ACCUMULATION_STEPS=${GRADIENT_ACCUMULATION_STEPS:-2}
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-512}
MAX_COMPLETION_LENGTH=${MAX_COMPLETION_LENGTH:-96}
EPOCHS=${EPOCHS:-1}                 # 1,000 steps of 2 posts
MAX_STEPS=${MAX_STEPS:--1}          # above 0: end there
REPORT_TO=${REPORT_TO:-tensorboard} # none, wandb, ...

exec "${PYTHON}" "${ROOT}/examples/trl_trainer/smoltldr.py" ${DATA:+--data "${DATA}"} \
    --model_name_or_path "${MODEL_PATH}" \
    --output_dir "${OUTPUT_DIR}" \
    --use_peft "${USE_PEFT}" \
    --lora_r "${LORA_R}" \
    --lora_alpha "${LORA_ALPHA}" \
    --lora_target_modules "${LORA_TARGET_MODULES}" \
    --learning_rate "${LEARNING_RATE}" \
    --beta "${BETA}" \
    --num_generations "${NUM_GENERATIONS}" \
    --per_device_train_batch_size "${BATCH_SIZE}" \
    --gradient_accumulation_steps "${GRADIENT_ACCUMULATION_STEPS}" \
    --max_prompt_length "${MAX_PROMPT_LENGTH}" \
    --max_completion_length "${MAX_COMPLETION_LENGTH}" \
    --num_train_epochs "${EPOCHS}" \
    --max_steps "${MAX_STEPS}" \
    --report_to "${REPORT_TO}" \
    "${SMOKE_ARGUMENTS[@]}" \
    "$@"
