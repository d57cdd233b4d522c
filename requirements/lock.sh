#!/bin/sh
# Compute requirements/cpu.lock anew: the newest versions that fit requirements/cpu.in.
# TORCH_INDEX is where +cpu builds of PyTorch come from; set it empty and UV_FIND_LINKS to a folder to use local files.
set -eu
cd "$(dirname "$0")/.."
index=${TORCH_INDEX-https://download.pytorch.org/whl/cpu}
.venv/bin/uv pip compile requirements/cpu.in --overrides requirements/cpu.overrides --output-file requirements/cpu.lock \
    --upgrade --python-version 3.11 --python-platform x86_64-manylinux_2_28 ${index:+--extra-index-url "${index}"} \
    --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' --quiet
