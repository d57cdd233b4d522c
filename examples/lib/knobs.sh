# shellcheck shell=bash
# Turns knobs into overrides for verl, by the table in knobs.txt.

declare -A LAUNCH_KIND_PATTERN=(
    [count]='^[1-9][0-9]*$'
    [integer]='^(0|-?[1-9][0-9]*)$'
    [number]='^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$'
    [flag]='^([Tt]rue|[Ff]alse)$'
    [word]='^[^[:space:]]+$'
)
declare -A LAUNCH_KIND_NAME=(
    [count]="a whole number above 0"
    [integer]="a whole number"
    [number]="a number"
    [flag]="True or False"
    [word]="a single word"
)

launch::knob_table() {
    grep -v -e '^#' -e '^$' "${LAUNCH_LIB}/knobs.txt"
}

# Where the reader finds a knob: its line in the launcher, or the environment.
launch::knob_place() {
    local line
    line=$(grep -n -m 1 "^$1=" "$0") && printf '%s:%s: ' "$0" "${line%%:*}"
    printf '%s' "$1"
}

# A value as Hydra reads it back unchanged.
launch::quoted() {
    local text=$1
    if [[ "${text}" == *\\* ]]; then # for Hydra, a backslash before a quote belongs to the quote
        text=$(sed -E "s/(\\\\+)('|\$)/\1\1\2/g" <<<"${text}")
    fi
    printf "'%s'" "${text//\'/\\\'}"
}

# Fill KNOBS with the overrides of all knobs that have a value; stop at one that cannot be.
launch::read_knobs() {
    local knob backend kind keys value key
    local -A of_another_backend=()
    KNOBS=()
    while read -r knob backend kind keys _; do
        value=${!knob:-}
        [[ -n "${value}" ]] || continue
        if [[ "${backend}" != all && "${backend}" != "${LAUNCH_ENGINE}" ]]; then
            of_another_backend[${knob}]=${of_another_backend[${knob}]-${backend}}
            continue
        fi
        of_another_backend[${knob}]=""
        [[ -z "${LAUNCH_KIND_PATTERN[${kind}]:-}" || "${value}" =~ ${LAUNCH_KIND_PATTERN[${kind}]} ]] ||
            launch::fail "$(launch::knob_place "${knob}")=${value} is not ${LAUNCH_KIND_NAME[${kind}]}"
        if [[ "${kind}" == text || ("${kind}" == files && "${value}" != "["*) ]]; then
            value=$(launch::quoted "${value}")
        fi
        for key in ${keys//,/ }; do
            KNOBS+=("${key}=${value}")
        done
    done < <(launch::knob_table)
    for knob in "${!of_another_backend[@]}"; do
        [[ -z "${of_another_backend[${knob}]}" ]] ||
            launch::fail "$(launch::knob_place "${knob}") is a knob of ${of_another_backend[${knob}]} launchers; this one trains with ${LAUNCH_ENGINE}"
    done
}
