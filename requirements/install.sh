#!/bin/sh
# Create a virtual environment from a lock file, once: install.sh PYTHON VENV LOCK
# Needs no root, installs exactly what the lock names and nothing that it does not, and does nothing when VENV matches.
set -eu
base_python=$1 venv=$2 lock=$3
cd "$(dirname "$0")/.."

say() { printf 'install: %s\n' "$*"; }
fail() {
    printf 'install: %s\n' "$*" >&2
    exit 2
}
run_logged() { # step name, command...
    step=$1
    shift
    "$@" >>"${log}" 2>&1 || {
        tail -n 15 "${log}" >&2
        printf 'install: %s failed; the whole log is in %s\n' "${step}" "${log}" >&2
        exit 1
    }
}

command -v "${base_python}" >/dev/null 2>&1 ||
    fail "${base_python} not found. Install Python 3.11, or name one: make install BASE_PYTHON=/path/to/python3.11"
"${base_python}" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    fail "$("${base_python}" --version) found, Python 3.11 is needed: make install BASE_PYTHON=/path/to/python3.11"
[ "$(uname -sm)" = "Linux x86_64" ] || fail "the lock file is for Linux on x86-64; this is $(uname -sm)"

# What the environment is made of: the lock, this project's entry points, and the place it is linked to.
wanted=$({ cat "${lock}" pyproject.toml packaging/vllm/pyproject.toml && pwd; } | sha256sum | cut -d' ' -f1)
if [ -f "${venv}/.installed" ] && [ "$(cat "${venv}/.installed")" = "${wanted}" ]; then
    exit 0
fi

free_mib=$(df -Pm . | awk 'NR == 2 { print $4 }')
[ -d "${venv}" ] || [ "${free_mib}" -ge 7000 ] ||
    fail "${free_mib} MiB free in $(pwd); the environment takes 4.3 GB and its download 1.1 GB more. Free some space."

mkdir -p .cache
log=$(pwd)/.cache/install.log
: >"${log}"
say "creating ${venv} with $("${base_python}" --version)"
rm -f "${venv}/.installed"
if "${base_python}" -c 'import ensurepip' 2>/dev/null; then
    run_logged "creating the virtual environment" "${base_python}" -m venv "${venv}"
else # Debian and Ubuntu ship Python without pip; pip's own bootstrap needs no root
    run_logged "creating the virtual environment" "${base_python}" -m venv --without-pip "${venv}"
    if [ ! -x "${venv}/bin/pip" ]; then
        say "this Python has no ensurepip: fetching pip's bootstrap script"
        run_logged "fetching pip (or install python3.11-venv and run again)" "${venv}/bin/python" -c \
            'import urllib.request as r; r.urlretrieve("https://bootstrap.pypa.io/get-pip.py", ".cache/get-pip.py")'
        run_logged "installing pip" "${venv}/bin/python" .cache/get-pip.py
    fi
fi

say "installing $(grep -c '^[a-zA-Z].*==' "${lock}") packages, 1.1 GB to download, about 2 minutes"
# The CPU builds of PyTorch have an index of their own. Their version ends in +cpu, so no CUDA build can slip in, and
# --no-deps keeps pip from adding what the lock leaves out on purpose (requirements/cpu.overrides).
run_logged "installing PyTorch" "${venv}/bin/python" -m pip install --disable-pip-version-check --no-input \
    --no-deps --retries 2 --extra-index-url https://download.pytorch.org/whl/cpu "$(grep '^torch==' "${lock}")"
run_logged "installing the packages" "${venv}/bin/python" -m pip install --disable-pip-version-check --no-input \
    --no-deps -r "${lock}"
run_logged "installing this project" "${venv}/bin/python" -m pip install --disable-pip-version-check --no-input \
    --no-deps --no-build-isolation ./packaging/vllm --editable .
# Every interpreter here declares torchvision's operators before it is imported; the module says why.
printf 'import grpo_launchpad.platforms.torchvision_without_operators\n' \
    >"$("${venv}/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/grpo_launchpad_torchvision.pth"
printf '%s\n' "${wanted}" >"${venv}/.installed"
say "done"
