# shellcheck shell=bash
# The plumbing behind every launcher: it moves bytes, prints, checks and starts processes. The numbers that a recipe
# chooses stand in the launcher.
#
# A launcher sources this file, sets its knobs (knobs.txt says which there are), puts further keys of verl into arrays,
# and ends with: launch::run "${ARRAYS[@]}" "$@"
#
# Environment that every launcher understands:
#   DRY_RUN=1      check everything, print the exact command, start nothing, write nothing
#   SMOKE=1        run the launcher on this machine's CPU with a shrunken model, in runs/<name>.smoke
#   NEW_RUN=1      start afresh in runs/<name>-<time> instead of resuming runs/<name>
#   RUN_NAME, RUN_DIR, DATA_DIR, CHECKPOINT_DIR   where things are; RUN_DIR defaults to runs/<name>
#   PREFLIGHT=0    skip the checks        VERBOSE=1   show the trainer's whole log
#   PYTHON         the interpreter; default: the active virtual environment, else .venv, else python3
#   LOGGER         verl's trackers, default console,file; see trackers.sh

if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
    echo "launch: bash ${BASH_VERSION} is too old; bash 4.4 or newer is needed" >&2
    exit 2
fi

LAUNCH_STARTED_AT=${EPOCHREALTIME:-$(date +%s.%N)}
LAUNCH_LIB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAUNCH_ROOT=$(cd "${LAUNCH_LIB}/../.." && pwd)
LAUNCH_NAME=$(basename "$0" .sh)

# shellcheck source=knobs.sh
source "${LAUNCH_LIB}/knobs.sh"
# shellcheck source=devices.sh
source "${LAUNCH_LIB}/devices.sh"
# shellcheck source=trackers.sh
source "${LAUNCH_LIB}/trackers.sh"
# shellcheck source=smoke.sh
source "${LAUNCH_LIB}/smoke.sh"

# Where this cluster differs from the defaults: lines such as  : "${NNODES:=4}"
if [[ -f "${LAUNCH_ROOT}/cluster/env.sh" ]]; then
    # shellcheck source=/dev/null
    source "${LAUNCH_ROOT}/cluster/env.sh"
fi

if [[ -z "${PYTHON:-}" ]]; then
    if [[ -z "${VIRTUAL_ENV:-}" && -x "${LAUNCH_ROOT}/.venv/bin/python" ]]; then
        PYTHON=${LAUNCH_ROOT}/.venv/bin/python
    else
        PYTHON=python3
    fi
fi

launch::fail() {
    printf '%s: %s\n' "${LAUNCH_NAME}" "$1" >&2
    exit "${2:-2}"
}

# Set and export NAME=value, and remember it as part of the command.
LAUNCH_EXPORTS=()
launch::set() {
    export "${1?}"
    if [[ "$1" != *://*:*@* ]]; then # an address with a password stays in the environment
        LAUNCH_EXPORTS+=("${1%%=*}")
    fi
}

# The same for a variable that keeps the value it has.
launch::default() {
    launch::set "$1=${!1:-$2}"
}

# The three fields of run_<model>_<backend>_<task>.sh
launch::identify() {
    IFS=_ read -r _ LAUNCH_MODEL LAUNCH_BACKEND LAUNCH_TASK <<<"${LAUNCH_NAME}"
    case "${LAUNCH_BACKEND}" in
        megatron*) LAUNCH_ENGINE=megatron ;;
        *) LAUNCH_ENGINE=fsdp ;;
    esac
    case "${LAUNCH_BACKEND}" in
        cpu*) LAUNCH_DEVICE=cpu ;;
        *-npu) LAUNCH_DEVICE=npu ;;
        *) LAUNCH_DEVICE=cuda ;;
    esac
    local suffix=""
    if [[ "${SMOKE:-0}" == 1 ]]; then
        suffix=.smoke
    fi
    if [[ "${NEW_RUN:-0}" == 1 ]]; then
        printf -v suffix -- '%s-%(%Y%m%d-%H%M%S)T' "${suffix}" -1
    fi
    RUN_NAME=${RUN_NAME:-${LAUNCH_NAME}}${suffix}
    RUN_DIR=${RUN_DIR:+${RUN_DIR}${suffix}}
    RUN_DIR=${RUN_DIR:-${LAUNCH_ROOT}/runs/${RUN_NAME}}
    CHECKPOINT_DIR=${CHECKPOINT_DIR:+${CHECKPOINT_DIR}${suffix}}
    CHECKPOINT_DIR=${CHECKPOINT_DIR:-${RUN_DIR}/checkpoints}
    DATA_DIR=${DATA_DIR:-${LAUNCH_ROOT}/data}
    TRAIN_FILES=${TRAIN_FILES:-${DATA_DIR}/${LAUNCH_TASK}/train.parquet}
    VAL_FILES=${VAL_FILES:-${DATA_DIR}/${LAUNCH_TASK}/test.parquet}
    ROLLOUT_ENGINE=${ROLLOUT_ENGINE:-vllm}
}

launch::is_zero() {
    [[ "$1" =~ ^[+-]?(0*[.]?0*)([eE].*)?$ ]]
}

# Fill PLUMBING: where things go, what the launcher's name says, and its knobs. The launcher's arrays and the user's
# arguments come later, so they win.
launch::overrides() {
    PLUMBING=(
        "trainer.project_name=grpo-launchpad"
        "trainer.experiment_name=$(launch::quoted "${RUN_NAME}")"
        "trainer.default_local_dir=$(launch::quoted "${CHECKPOINT_DIR}")"
        "trainer.rollout_data_dir=$(launch::quoted "${RUN_DIR}/rollouts/train")"
        "trainer.validation_data_dir=$(launch::quoted "${RUN_DIR}/rollouts/validation")"
        "hydra.run.dir=$(launch::quoted "${RUN_DIR}/launch")"
        "hydra.output_subdir=null"
        "algorithm.adv_estimator=grpo"
        "reward.custom_reward_function.path=pkg://reward_score"
        "data.filter_overlong_prompts=True"
        "actor_rollout_ref.actor.use_dynamic_bsz=True"
    )
    case "${LAUNCH_ENGINE}" in
        fsdp) PLUMBING+=("actor_rollout_ref.actor.strategy=fsdp2") ;;
        megatron) PLUMBING=("model_engine=megatron" "${PLUMBING[@]}") ;;
    esac
    launch::trackers
    launch::device
    launch::read_knobs
    PLUMBING+=("${KNOBS[@]}")
    PLUMBING+=("actor_rollout_ref.rollout.max_model_len=$((MAX_PROMPT_LENGTH + MAX_RESPONSE_LENGTH))")
    launch::is_zero "${KL_LOSS_COEF:-0}" || PLUMBING+=("actor_rollout_ref.actor.use_kl_loss=True")
    launch::is_zero "${VAL_TEMPERATURE:-0}" || PLUMBING+=("actor_rollout_ref.rollout.val_kwargs.do_sample=True")
    if [[ "${LORA_RANK:-0}" -gt 0 && "${LAUNCH_ENGINE}" == fsdp ]]; then
        PLUMBING+=("actor_rollout_ref.rollout.load_format=safetensors") # the base weights come from the files
    fi
    if [[ -z "${RAY_ADDRESS:-}" && "${PYTHON}" == *" "* ]]; then # Ray hands it to a shell as it is
        PLUMBING+=("++ray_kwargs.ray_init.runtime_env.py_executable=$(launch::quoted "$(printf %q "${PYTHON}")")")
    fi
    if [[ -n "${RAY_ADDRESS:-}" ]]; then # a running cluster does not inherit this shell's environment
        local name
        for name in "${LAUNCH_EXPORTS[@]}"; do
            PLUMBING+=("++ray_kwargs.ray_init.runtime_env.env_vars.${name}=$(launch::quoted "${!name}")")
        done
    fi
}

# One process imports PyTorch and vLLM and forks Ray's workers; see grpo_launchpad/warm_workers.
WARM_WORKERS_OVERRIDE=()
launch::warm_workers() {
    WARM_WORKERS=$(mktemp -d /tmp/grpo-launchpad.XXXXXX)
    "${PYTHON}" -m grpo_launchpad.warm_workers.server "${WARM_WORKERS}" >"${WARM_WORKERS}/log" 2>&1 9>&- &
    WARM_WORKERS_PID=$!
    WARM_WORKERS_OVERRIDE=("++ray_kwargs.ray_init.runtime_env.py_executable=${WARM_WORKERS}/python")
}

launch::cleanup() {
    if [[ -n "${WARM_WORKERS_PID:-}" ]]; then
        kill "${WARM_WORKERS_PID}" 2>/dev/null || true
        wait "${WARM_WORKERS_PID}" 2>/dev/null || true
        rm -rf "${WARM_WORKERS}"
    fi
    if [[ ! -e "${RUN_DIR}/launch/attempts.jsonl" ]]; then # nothing was started: leave no half of a run folder
        rm -f "${RUN_DIR}/launch/lock"
        rmdir "${RUN_DIR}/launch" "${RUN_DIR}" 2>/dev/null || true
    fi
}

launch::lock() {
    mkdir -p "${RUN_DIR}/launch" || launch::fail "cannot create ${RUN_DIR}; set RUN_DIR to a folder that can be written"
    exec 9>>"${RUN_DIR}/launch/lock"
    # Held by this shell and the trainer, so a killed launcher whose trainer lives on still counts as running.
    flock --nonblock 9 && return
    # A trainer that was just killed gives the lock back only after its memory, which may be gigabytes.
    printf '%s: %s is in use; waiting 20 s for the other run to end\n' "${LAUNCH_NAME}" "${RUN_DIR}" >&2
    flock --wait 20 9 || launch::fail "${RUN_DIR} is in use by another run of the same name.
  Wait for it, stop it, or start a second one with NEW_RUN=1 or RUN_NAME=<another name>."
}

# The command with what it needs of the environment: it can be pasted into a shell.
launch::print_command() {
    local name
    for name in "${LAUNCH_EXPORTS[@]}"; do
        printf 'export %s=%q\n' "${name}" "${!name}"
    done
    printf '%q -m verl.trainer.main_ppo' "${PYTHON}"
    printf ' \\\n    %q' "$@"
    printf '\n'
}

# launch::run OVERRIDE... : check, then run verl's trainer with these Hydra overrides, then report.
launch::run() {
    "${PYTHON}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        launch::fail "$("${PYTHON}" --version 2>/dev/null || echo "${PYTHON} not found"): Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"
    launch::identify
    launch::read_knobs # before arithmetic with them
    if [[ "${SMOKE:-0}" == 1 ]]; then
        launch::smoke
        launch::smoke_arguments "$@"
        set -- "${ARGUMENTS[@]}"
    fi
    launch::set "PYTHONPATH=${LAUNCH_ROOT}${PYTHONPATH:+:${PYTHONPATH}}"
    launch::set PYTHONUNBUFFERED=1
    launch::overrides

    if [[ "${DRY_RUN:-0}" == 1 ]]; then
        if [[ "${SMOKE:-0}" != 1 ]]; then # a smoke run's model and data are made when it starts
            "${PYTHON}" -B -m grpo_launchpad.preflight --launcher "$0" --run-dir "${RUN_DIR}" -- "${PLUMBING[@]}" "$@"
        fi
        launch::print_command "${PLUMBING[@]}" "$@"
        return
    fi

    launch::lock
    trap launch::cleanup EXIT
    if [[ "${LAUNCH_DEVICE}" == cpu ]]; then
        launch::warm_workers
    fi
    if [[ "${SMOKE:-0}" == 1 ]]; then
        launch::smoke_begin
    fi
    local answer
    answer=$("${PYTHON}" -m grpo_launchpad.attempt begin --run-dir "${RUN_DIR}" --name "${RUN_NAME}" --model "${LAUNCH_MODEL}" \
        --backend "${LAUNCH_BACKEND}" --task "${LAUNCH_TASK}" --device "${LAUNCH_DEVICE}" --launcher "$0" \
        --started-at "${LAUNCH_STARTED_AT}" -- "${PLUMBING[@]}" "$@")
    local attempt=${answer%%$'\n'*} model_path=${answer#*$'\n'}
    if [[ "${attempt}" == finished ]]; then
        "${PYTHON}" -m grpo_launchpad.report "${RUN_DIR}"
        return
    fi

    local -a arguments=("${PLUMBING[@]}" "$@")
    if [[ -n "${model_path}" ]]; then
        arguments+=("actor_rollout_ref.model.path='${model_path}'")
    fi
    launch::print_command "${arguments[@]}" >"${RUN_DIR}/launch/command.sh"
    export VERL_FILE_LOGGER_PATH="${RUN_DIR}/metrics.${attempt}.jsonl"
    if [[ -n "${RAY_ADDRESS:-}" ]]; then
        arguments+=("++ray_kwargs.ray_init.runtime_env.env_vars.VERL_FILE_LOGGER_PATH=$(launch::quoted "${VERL_FILE_LOGGER_PATH}")")
    fi

    trap : INT # Ctrl-C ends the trainer; what it did so far is still recorded and reported
    local status=0
    # The recorded command works without the fork server, which ends with this run.
    "${PYTHON}" -m verl.trainer.main_ppo "${arguments[@]}" "${WARM_WORKERS_OVERRIDE[@]}" 2>&1 |
        "${PYTHON}" -m grpo_launchpad.console "${RUN_DIR}/log.${attempt}.txt" 9>&- || status=${PIPESTATUS[0]}
    "${PYTHON}" -m grpo_launchpad.attempt end "${RUN_DIR}" "${attempt}" "${status}"
    "${PYTHON}" -m grpo_launchpad.report "${RUN_DIR}" || true
    if ((status != 0)); then
        launch::fail "the trainer ended with exit code ${status}; its log: ${RUN_DIR}/log.${attempt}.txt" 1
    fi
}
