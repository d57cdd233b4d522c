# shellcheck shell=bash
# Copy to cluster/env.sh, which git ignores and every launcher reads: where this cluster differs from the defaults.
# Write ": "${NAME:=value}"", so that a value from the environment still wins.

# : "${NNODES:=4}"
# : "${DATA_DIR:=/shared/data}"
# : "${RUN_DIR:=/shared/runs/${LAUNCH_NAME}}"
