# shellcheck shell=bash
# SMOKE=1: the launcher itself, its keys and its code path, on this machine's CPU. The model is of the same architecture,
# shrunken; the data is the sample that comes with the project; what is counted in hours or GPUs is made small.

SMOKE_TOKENS=1024 # of a prompt: a byte-level tokenizer gives a long problem as many

launch::smaller() { # KNOB LIMIT: lower a knob's value to the limit
    local -n knob=$1
    [[ -z "${knob:-}" || "${knob}" -le "$2" ]] || knob=$2
}

launch::smoke() {
    [[ "${LAUNCH_ENGINE}" == fsdp ]] ||
        launch::fail "SMOKE=1 needs verl's Megatron engine on a CPU, which is not there yet; DRY_RUN=1 checks this launcher"
    LAUNCH_DEVICE=cpu
    local workers=$((NNODES * NGPUS_PER_NODE))
    NNODES=1
    NGPUS_PER_NODE=$((workers > 1 ? 2 : 1))
    ROLLOUT_TP=${ROLLOUT_TP:-2}
    launch::smaller ROLLOUT_TP "${NGPUS_PER_NODE}"
    ROLLOUT_DP="" ROLLOUT_EP="" SP_SIZE="" FSDP_SIZE=""

    MODEL_PATH="smoke:${MODEL_PATH}"
    TRAIN_FILES="${RUN_DIR}/data/train.parquet"
    VAL_FILES="${RUN_DIR}/data/test.parquet"
    PPO_MINI_BATCH_SIZE=$((PPO_MINI_BATCH_SIZE < TRAIN_BATCH_SIZE ? 4 : 8)) # as before: one update a step, or several
    TRAIN_BATCH_SIZE=8
    VAL_ROWS=8
    launch::smaller ROLLOUT_N 4
    MAX_PROMPT_LENGTH=${SMOKE_TOKENS}
    MAX_RESPONSE_LENGTH=16
    PPO_MAX_TOKEN_LEN=$((4 * SMOKE_TOKENS))
    LOG_PROB_MAX_TOKEN_LEN=""
    # Random weights answer nothing right. The length of what they say differs, and makes for advantages and an update.
    if [[ "${REWARDS:-}" != *length* && ! -f "${REWARDS:-}" ]]; then
        REWARDS="${REWARDS:-correctness:1.0},length(target=12):-0.01"
    fi
    ACTOR_LR=1e-3 # an update that shows in the rollout engine's 16-bit weights
    LR_WARMUP_STEPS=""
    launch::smaller LORA_RANK 8
    MAX_NUM_SEQS=""
    MAX_NUM_BATCHED_TOKENS=""

    TRAIN_STEPS=2 TEST_FREQ=2 SAVE_FREQ=2 VAL_BEFORE_TRAIN=False
}

# A smoke run is a rehearsal: it always starts afresh. Its data is the sample of the launcher's task.
launch::smoke_begin() {
    find "${RUN_DIR}" -mindepth 1 -maxdepth 1 ! -name launch -exec rm -rf {} +
    rm -f "${RUN_DIR}/launch/attempts.jsonl"
    local sample="${LAUNCH_ROOT}/data_prep/samples/${LAUNCH_TASK}"
    local -a source=()
    if [[ -d "${sample}" ]]; then
        source=(--source "${sample}")
    fi
    "${PYTHON}" "${LAUNCH_ROOT}/data_prep/${LAUNCH_TASK}.py" "${source[@]}" --out "${RUN_DIR}/data" >/dev/null
}
