# shellcheck shell=bash
# The plumbing behind every launcher: it moves bytes, prints, checks and starts processes. Whatever can change a training
# result or its memory stands in the launcher itself.
#
# A launcher sources this file, sets its knobs and arrays, and ends with: launch::run "${ARRAYS[@]}" "$@"
#
# Environment that every launcher understands:
#   DRY_RUN=1      check everything, print the exact command, start nothing, write nothing
#   NEW_RUN=1      start afresh in runs/<name>-<time> instead of resuming runs/<name>
#   RUN_NAME, RUN_DIR, DATA_DIR, CHECKPOINT_DIR   where things are; RUN_DIR defaults to runs/<name>
#   PREFLIGHT=0    skip the checks        VERBOSE=1   show the trainer's whole log
#   PYTHON         the interpreter; default: the active virtual environment, else .venv, else python3
#   LOGGER         verl's trackers, default [console,file]; more are added only when configured (WANDB_API_KEY, ...)

if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
    echo "launch: bash ${BASH_VERSION} is too old; bash 4.4 or newer is needed" >&2
    exit 2
fi

LAUNCH_STARTED_AT=${EPOCHREALTIME:-$(date +%s.%N)}
LAUNCH_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
LAUNCH_NAME=$(basename "$0" .sh)

# Where this cluster differs from the defaults: lines such as  : "${NNODES:=4}"
if [[ -f "${LAUNCH_ROOT}/cluster/env.sh" ]]; then
    # shellcheck source=/dev/null
    source "${LAUNCH_ROOT}/cluster/env.sh"
fi

DATA_DIR=${DATA_DIR:-${LAUNCH_ROOT}/data}

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
    LAUNCH_EXPORTS+=("${1%%=*}")
}

# The three fields of run_<model>_<backend>_<task>.sh
launch::identify() {
    local model backend task
    IFS=_ read -r _ model backend task <<<"${LAUNCH_NAME}"
    LAUNCH_MODEL=${model} LAUNCH_BACKEND=${backend} LAUNCH_TASK=${task}
    local fresh=""
    if [[ "${NEW_RUN:-0}" == 1 ]]; then
        printf -v fresh -- '-%(%Y%m%d-%H%M%S)T' -1
    fi
    RUN_NAME=${RUN_NAME:-${LAUNCH_NAME}}${fresh}
    RUN_DIR=${RUN_DIR:+${RUN_DIR}${fresh}}
    RUN_DIR=${RUN_DIR:-${LAUNCH_ROOT}/runs/${RUN_NAME}}
    CHECKPOINT_DIR=${CHECKPOINT_DIR:+${CHECKPOINT_DIR}${fresh}}
    CHECKPOINT_DIR=${CHECKPOINT_DIR:-${RUN_DIR}/checkpoints}
}

# Trackers beyond the console and a file are on only when the user has configured them.
launch::logger() {
    local trackers="console,file"
    if [[ -n "${WANDB_API_KEY:-}" || "${WANDB_MODE:-}" == offline ]]; then trackers+=",wandb"; fi
    if [[ -n "${SWANLAB_API_KEY:-}" || "${SWANLAB_MODE:-}" =~ ^(offline|local)$ ]]; then trackers+=",swanlab"; fi
    if [[ -n "${TENSORBOARD_DIR:-}" ]]; then trackers+=",tensorboard"; fi
    if [[ -n "${MLFLOW_TRACKING_URI:-}" ]]; then trackers+=",mlflow"; fi
    printf '%s' "${LOGGER:-[${trackers}]}"
}

# Overrides that only say where things go. The launcher's arrays and the user's arguments come later, so they win.
launch::bookkeeping() {
    PLUMBING=(
        "trainer.project_name=grpo-launchpad"
        "trainer.experiment_name='${RUN_NAME}'"
        "trainer.default_local_dir='${CHECKPOINT_DIR}'"
        "trainer.rollout_data_dir='${RUN_DIR}/rollouts/train'"
        "trainer.validation_data_dir='${RUN_DIR}/rollouts/validation'"
        "trainer.logger=$(launch::logger)"
        "hydra.run.dir='${RUN_DIR}/launch'"
        "hydra.output_subdir=null"
    )
}

# A run on this machine's CPU: docs/en/cpu.md has the reason for each line.
launch::cpu_platform() {
    launch::set VERL_PLATFORM=cpu
    launch::set VERL_ENGINE_DEVICE=cuda
    launch::set "OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(nproc)}"
    launch::set "VLLM_CPU_OMP_THREADS_BIND=${VLLM_CPU_OMP_THREADS_BIND:-nobind}"
    launch::set "VLLM_CPU_KVCACHE_SPACE=${VLLM_CPU_KVCACHE_SPACE:-1}"
    launch::set TOKENIZERS_PARALLELISM=false
    launch::set VLLM_NO_USAGE_STATS=1
    launch::set RAY_USAGE_STATS_ENABLED=0
    launch::set RAY_prestart_worker_first_driver=0
    local world=${NGPUS_PER_NODE:-1}
    PLUMBING+=(
        "++ray_kwargs.ray_init.num_gpus=${world}" # Ray's name for a training worker; there is no GPU
        "ray_kwargs.ray_init.num_cpus=$((5 + 3 * world))"
        "++ray_kwargs.ray_init.include_dashboard=False"
        "transfer_queue.backend.SimpleStorage.num_data_storage_units=1"
        "data.dataloader_num_workers=0"
        "reward.num_workers=1"
        "actor_rollout_ref.rollout.agent.num_workers=1"
        "actor_rollout_ref.rollout.free_cache_engine=False"
        "++actor_rollout_ref.rollout.enable_sleep_mode=False"
        "trainer.v1.sampler.custom_sampler.path=pkg://grpo_launchpad.platforms.cpu_sampler"
        "trainer.v1.sampler.custom_sampler.name=EagerReplayBuffer"
    )
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
        launch::fail "$("${PYTHON}" --version 2>&1 || echo "${PYTHON} not found"): Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"
    launch::identify
    launch::bookkeeping
    launch::set "PYTHONPATH=${LAUNCH_ROOT}${PYTHONPATH:+:${PYTHONPATH}}"
    launch::set PYTHONUNBUFFERED=1
    if [[ "${LAUNCH_BACKEND}" == cpu* ]]; then
        launch::cpu_platform
    fi

    if [[ "${DRY_RUN:-0}" == 1 ]]; then
        "${PYTHON}" -B -m grpo_launchpad.preflight --run-dir "${RUN_DIR}" -- "${PLUMBING[@]}" "$@"
        launch::print_command "${PLUMBING[@]}" "$@"
        return
    fi

    launch::lock
    trap launch::cleanup EXIT
    if [[ "${LAUNCH_BACKEND}" == cpu* ]]; then
        launch::warm_workers
    fi
    local answer
    answer=$("${PYTHON}" -m grpo_launchpad.attempt begin --run-dir "${RUN_DIR}" --name "${RUN_NAME}" --model "${LAUNCH_MODEL}" \
        --backend "${LAUNCH_BACKEND}" --task "${LAUNCH_TASK}" --started-at "${LAUNCH_STARTED_AT}" \
        -- "${PLUMBING[@]}" "$@")
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
