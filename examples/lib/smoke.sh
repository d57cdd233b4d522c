# shellcheck shell=bash
# SMOKE=1: the launcher itself, its keys and its code path, on this machine's CPU. The model is of the same architecture,
# shrunken; the data is the sample that comes with the project; what is counted in hours or GPUs is made small.

SMOKE_TOKENS=1024 # of a prompt: a byte-level tokenizer gives a long problem as many

launch::smaller() { # KNOB LIMIT: lower a knob's value to the limit
    local -n knob=$1
    [[ -z "${knob:-}" || "${knob}" -le "$2" ]] || knob=$2
}

# One or two workers with FSDP. With Megatron, the recipe's layout if four hold it; else its largest sizes are halved,
# down to two, so that each way of sharing the work that it has is still one.
launch::smoke_layout() {
    local workers=$((NNODES * NGPUS_PER_NODE))
    if [[ "${LAUNCH_ENGINE}" == megatron ]]; then
        launch::smoke_bridge
        launch::smaller ACTOR_PP 2 # the model has two layers
        ACTOR_VPP=""
        while launch::smoke_workers && ((workers > 4)); do
            launch::halve_largest ACTOR_TP ACTOR_CP ACTOR_EP ACTOR_ETP || break
        done
    fi
    NNODES=1
    NGPUS_PER_NODE=${workers}
    [[ "${LAUNCH_ENGINE}" == megatron ]] || launch::smaller NGPUS_PER_NODE 2
    ROLLOUT_TP=${ROLLOUT_TP:-2}
    launch::smaller ROLLOUT_TP 4 # the model's attention heads
    launch::smaller ROLLOUT_TP "${NGPUS_PER_NODE}"
    ROLLOUT_DP="" ROLLOUT_EP="" SP_SIZE="" FSDP_SIZE=""
}

launch::smoke_workers() { # set workers to as many as the layout needs
    local dense=$((${ACTOR_TP:-1} * ${ACTOR_CP:-1})) experts=$((${ACTOR_EP:-1} * ${ACTOR_ETP:-${ACTOR_TP:-1}}))
    workers=$((${ACTOR_PP:-1} * (dense > experts ? dense : experts)))
}

launch::halve_largest() { # KNOB...: fails if none is above two
    local name largest=2 largest_name=""
    for name in "$@"; do
        if ((${!name:-1} > largest)); then
            largest=${!name} largest_name=${name}
        fi
    done
    [[ -n "${largest_name}" ]] || return
    printf -v "${largest_name}" %d $((largest / 2 > 2 ? largest / 2 : 2))
}

# On a CPU, verl's Megatron engine has the older of its two bridges, mbridge. It has no adapters, and of vision-language
# models only those of transformers 4.
launch::smoke_bridge() {
    local what=""
    case "${LAUNCH_MODEL}" in
        *-vl-* | qwen3.5-*) what="this model" ;;
    esac
    [[ "${LORA_RANK:-0}" == 0 ]] || what="an adapter"
    [[ -z "${what}" ]] ||
        launch::fail "SMOKE=1 needs Megatron-Bridge for ${what}, which needs Python 3.12 and Transformer Engine"
}

# Keys in a launcher's arrays that a CPU or a model of two layers has no use for.
SMOKE_WITHOUT="num_layers_in_(first|last)_pipeline_stage|optimizer_cpu_offload|optimizer_offload_fraction|\
overlap_cpu_optimizer_d2h_h2d|use_precision_aware_optimizer"

launch::smoke_arguments() { # fill ARGUMENTS with those that stay
    local argument
    ARGUMENTS=()
    for argument in "$@"; do
        [[ "${argument%%=*}" =~ \.(${SMOKE_WITHOUT})$ ]] || ARGUMENTS+=("${argument}")
    done
}

launch::smoke() {
    LAUNCH_DEVICE=cpu
    launch::smoke_layout

    MODEL_PATH="smoke:${MODEL_PATH}"
    TRAIN_FILES="${RUN_DIR}/data/train.parquet"
    VAL_FILES="${RUN_DIR}/data/test.parquet"
    PPO_MINI_BATCH_SIZE=$((PPO_MINI_BATCH_SIZE < TRAIN_BATCH_SIZE ? 4 : 8)) # as before: one update a step, or several
    TRAIN_BATCH_SIZE=8
    VAL_ROWS=8
    launch::smaller ROLLOUT_N 4
    [[ "${LAUNCH_BACKEND}" == cpu* ]] || MAX_PROMPT_LENGTH=${SMOKE_TOKENS}
    launch::smaller MAX_RESPONSE_LENGTH 16
    PPO_MAX_TOKEN_LEN=$((4 * SMOKE_TOKENS))
    LOG_PROB_MAX_TOKEN_LEN=""
    # Random weights answer nothing right. The length of what they say differs, and makes for advantages and an update.
    if [[ "${REWARDS:-}" != *length* && ! -f "${REWARDS:-}" ]]; then
        REWARDS="${REWARDS:-correctness:1.0},length(target=12):-0.01"
    fi
    ACTOR_LR=1e-3 # an update that shows in the rollout engine's 16-bit weights
    launch::smaller LR_WARMUP_STEPS 0
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
