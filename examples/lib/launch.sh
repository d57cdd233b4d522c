# shellcheck shell=bash
# What every launcher sources: it finds cluster/env.sh and Python, and hands the launcher's arrays over to
# grpo_launchpad/launch, which does everything else. docs/en/launchers.md (docs/zh/launchers.md) is the manual;
# `bash run_x.sh --help` shows the knobs of a launcher.

if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
    echo "launch: bash ${BASH_VERSION} is too old; bash 4.4 or newer is needed" >&2
    exit 2
fi

LAUNCH_STARTED_AT=${EPOCHREALTIME:-$(date +%s.%N)}
LAUNCH_ARGUMENTS=("$@") # of the launcher: this file is sourced without any
LAUNCH_NAME=${LAUNCH_NAME:-$(basename "$0" .sh)}
LAUNCH_ROOT=${LAUNCH_ROOT:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}

launch::fail() {
    printf '%s: %s\n' "${LAUNCH_NAME}" "$1" >&2
    exit 2
}

# Where this cluster differs from the defaults: lines such as  : "${NNODES:=4}"
LAUNCH_CLUSTER_NAMES=()
launch::read_cluster_file() {
    local file=${LAUNCH_ROOT}/cluster/env.sh name before
    [[ -f "${file}" ]] || return 0
    ! grep -q $'\r' "${file}" || launch::fail "${file} has Windows line ends; convert it: sed -i 's/\\r\$//' ${file}"
    before=$'\n'$(compgen -e)$'\n'
    set -a # what it sets is for the trainer as well
    # shellcheck source=/dev/null
    source "${file}"
    set +a
    for name in $(compgen -e); do
        [[ "${before}" == *$'\n'"${name}"$'\n'* ]] || LAUNCH_CLUSTER_NAMES+=("${name}")
    done
}
launch::read_cluster_file

# The active virtual environment if it has verl, else the project's, else whatever there is.
launch::find_python() {
    local -a verl=("${VIRTUAL_ENV:-/nowhere}"/lib/python3*/site-packages/verl)
    if [[ -d "${verl[0]}" ]]; then
        PYTHON=${VIRTUAL_ENV}/bin/python
    elif [[ -x "${LAUNCH_ROOT}/.venv/bin/python" ]]; then
        PYTHON=${LAUNCH_ROOT}/.venv/bin/python
    else
        PYTHON=python3
    fi
}
[[ -n "${PYTHON:-}" ]] || launch::find_python

export DATA_DIR=${DATA_DIR:-${LAUNCH_ROOT}/data}

# launch::run OVERRIDE... "$@": hand over the launcher's overrides, and the user's behind them.
launch::run() {
    local -i lines=$(($# - ${#LAUNCH_ARGUMENTS[@]}))
    ((lines >= 0)) && [[ "${*:lines+1}" == "${LAUNCH_ARGUMENTS[*]}" ]] ||
        launch::fail "its last line must end in \"\$@\", or arguments are lost: launch::run \"\${DATA[@]}\" ... \"\$@\""
    "${PYTHON}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        launch::fail "$("${PYTHON}" --version 2>/dev/null || echo "${PYTHON} not found"): Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"
    export PYTHON PYTHONPATH=${LAUNCH_ROOT}${PYTHONPATH:+:${PYTHONPATH}}
    # A dry run writes nothing, not even bytecode.
    exec "${PYTHON}" -P ${DRY_RUN:+-B} ${CHECK:+-B} -m grpo_launchpad.launch --launcher "$0" --name "${LAUNCH_NAME}" --root "${LAUNCH_ROOT}" \
        --started-at "${LAUNCH_STARTED_AT}" --cluster-names "${LAUNCH_CLUSTER_NAMES[*]}" --lines "${lines}" -- "$@"
}
