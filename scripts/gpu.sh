#!/usr/bin/env bash
# No -e: a measurement that fails leaves a line, and the rest goes on.
set -uo pipefail

usage() {
    cat <<'END'
Finds out how elbo does on a GPU, and writes a report. Needs a built program, bash and coreutils; no Rust, no network.

usage: scripts/gpu.sh [long] [OPTION]...

  (nothing)       adapters and driver, every kernel against its twin, speed beside PyTorch and JAX where a Python
                  has them, ten steps of each recipe against the CPU engine; five minutes
  long            trains `classic` on MNIST for 10 epochs, `residual`, and `iwae` for all its 3,280, with checkpoints;
                  started again with the same --out, goes on where it stopped

  --adapter SEL   as for `elbo train` (default: auto); cpu and software are for trying the script
  --out DIR       report.md, report.jsonl, and all that was printed in logs/ (default: gpu-report)
  --seconds N     time for everything (default: 290; long: 3600)
  --passes N      how often the measurements are gone through in turn, as far as time allows (default: 3)
  --data SRC      for long, as for `elbo train` (default: mnist)
  -h              this text

environment:
  ELBO          the program (default: target/release/elbo beside this folder, or elbo on the path)
  PEERS_PYTHON  a Python with PyTorch or JAX on the same GPU (default: python3, if it has one); none: no peers

Both report files are written as it goes: what is cut off has lines for all that was done.
END
}

main() {
    HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
    local what=short
    ADAPTER=auto OUT=gpu-report TOTAL='' PASSES=3 DATA=mnist
    while [ $# -gt 0 ]; do
        case "$1" in
            -h | --help) usage && exit ;;
            long) what=long && shift ;;
            --adapter | --out | --seconds | --passes | --data)
                [ $# -ge 2 ] || fail "$1 wants a value"
                option "$1" "$2" && shift 2 ;;
            *) fail "$1: not known; see scripts/gpu.sh --help" ;;
        esac
    done
    find_program
    mkdir -p "$OUT/logs" || fail "cannot write to $OUT"
    OUT="$(cd "$OUT" && pwd)"
    SCRATCH="$(mktemp -d)"
    trap 'rm -rf "$SCRATCH"' EXIT
    # A report is there even if this is stopped.
    trap 'write_report; exit 130' INT TERM
    [ -d "${XDG_RUNTIME_DIR:-}" ] || export XDG_RUNTIME_DIR="$SCRATCH"
    declare -gA TIMES=() STATE=() WORK=()
    CONTENDERS=() AGREEMENT=() FAILED=() FACTS=() DEVICE='' DOCTOR=''
    if [ "$what" = long ]; then
        TOTAL="${TOTAL:-3600}"
        train_long
    else
        TOTAL="${TOTAL:-290}"
        : >"$OUT/report.jsonl"
        look_around
        find_peers
        choose_contenders
        # What is right is half of the answer: it has its time, whatever the first pass takes.
        KEPT=$((TOTAL * 2 / 5))
        measure_all 1
        KEPT=0
        agree_all
        where_time_goes
        for ((pass = 2; pass <= PASSES; pass++)); do measure_all "$pass"; done
    fi
    write_report
    say "$OUT/report.md"
}

option() {
    case "$1" in
        --adapter) ADAPTER="$2" ;;
        --out) OUT="$2" ;;
        --data) DATA="$2" ;;
        --seconds) [[ "$2" =~ ^[1-9][0-9]*$ ]] || fail "--seconds $2: expected a whole number"
            TOTAL="$2" ;;
        --passes) [[ "$2" =~ ^[1-9][0-9]*$ ]] || fail "--passes $2: expected a whole number"
            PASSES="$2" ;;
    esac
}

say() {
    printf 'gpu.sh: %s\n' "$*" >&2
}

fail() {
    say "$@"
    exit 2
}

find_program() {
    ELBO="${ELBO:-}"
    [ -n "$ELBO" ] || { [ -x "$HERE/../target/release/elbo" ] && ELBO="$HERE/../target/release/elbo"; }
    [ -n "$ELBO" ] || ELBO="$(command -v elbo)" || fail "no elbo: build it (cargo build --release) or name it, ELBO=..."
    ELBO="$(command -v "$ELBO")" || fail "ELBO is no program"
    ELBO="$(cd "$(dirname "$ELBO")" && pwd)/$(basename "$ELBO")"
}

time_left() {
    echo $((TOTAL - SECONDS))
}

# The text as a string of JSON.
quoted() {
    local text="${1//\\/\\\\}"
    text="${text//\"/\\\"}"
    printf '"%s"' "${text//[[:cntrl:]]/ }"
}

# record KIND NAME STATUS SECONDS RESULT SAID: a line of the report. RESULT is JSON.
record() {
    printf '{"at":"%s","kind":"%s","name":%s,"status":"%s","seconds":%s,"result":%s,"said":%s}\n' \
        "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" "$(quoted "$2")" "$3" "$4" "${5:-null}" "$(quoted "${6:-}")" >>"$OUT/report.jsonl"
    case "$3" in
        ok) ;;
        *) FAILED+=("| $1: $2 | $3 | ${6//|/\\|} |") ;;
    esac
    say "$1: $2: $3${6:+ ($6)}"
    write_report
}

# step KIND NAME LIMIT COMMAND...: runs a command for at most so many seconds, and records it. What it prints goes to
# logs/; the last line, if it is an object of JSON, becomes RESULT. Gives whether it went well, which STATUS says too.
step() {
    local kind="$1" name="$2" limit="$3" left begun code log
    shift 3
    RESULT='' STATUS=ok
    left="$(time_left)"
    if [ "$left" -lt 5 ]; then
        STATUS=skipped
        record "$kind" "$name" skipped 0 null "no time was left"
        return 1
    fi
    log="$OUT/logs/${kind}-${name//[^A-Za-z0-9.=-]/_}"
    begun=$SECONDS
    timeout -k 5 "$((limit < left ? limit : left))" "$@" >"$log.out" 2>"$log.err" </dev/null
    code=$?
    RESULT="$(tail -n 1 "$log.out")"
    [ "${RESULT:0:1}" = '{' ] || RESULT=''
    local said=''
    case "$code" in
        0) ;;
        124 | 137) STATUS=timeout said="stopped after $((SECONDS - begun)) s" ;;
        *) STATUS=failed said="exit $code: $(tail -n 1 "$log.err" | cut -c 1-300)" ;;
    esac
    record "$kind" "$name" "$STATUS" "$((SECONDS - begun))" "${RESULT:-null}" "$said"
    [ "$STATUS" = ok ]
}

# field NAME: the value of a key of RESULT, without quotes.
field() {
    [[ "$RESULT" =~ \"$1\":\"([^\"]*)\" || "$RESULT" =~ \"$1\":([0-9.eE+-]+) ]] && echo "${BASH_REMATCH[1]}"
}

# A decimal number as a whole one, times ten to the given power. bash has no other arithmetic.
whole() {
    LC_ALL=C printf '%.0f' "${1}e$2" 2>/dev/null || echo 0
}

# A whole number of nanoseconds as milliseconds.
ms() {
    printf '%d.%04d' $(($1 / 1000000)) $(($1 % 1000000 / 100))
}

fact() {
    FACTS+=("- $1: $2")
    record fact "$1" ok 0 "$(quoted "$2")"
}

look_around() {
    local line model=''
    fact program "$("$ELBO" --version 2>&1 | tail -n 1), $ELBO"
    [ -r /proc/cpuinfo ] && while IFS= read -r line; do
        [[ "$line" =~ ^model\ name.*:\ (.*) ]] && model="${BASH_REMATCH[1]}" && break
    done </proc/cpuinfo
    fact machine "$(uname -srm), $(nproc) cores${model:+, $model}"
    if command -v nvidia-smi >/dev/null; then
        while IFS= read -r line; do fact nvidia-smi "$line"; done < <(timeout 20 nvidia-smi \
            --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader 2>&1)
    fi
    step adapters all 30 "$ELBO" adapters --json
    # Both the text, to read, and the object.
    if step doctor "$ADAPTER" 90 "$ELBO" doctor --adapter "$ADAPTER" --json; then
        DOCTOR="every kernel agrees with its twin"
    else
        DOCTOR="**$STATUS**: see logs/doctor-*"
    fi
    DEVICE="$(field device)"
    step probe "classic, to see how long the rest may be" 60 "$ELBO" bench step --adapter "$ADAPTER" --steps 10 --rounds 2 --json
    PROBE="$(whole "$(field ms_per_step)" 6)"
    [ "$PROBE" -gt 0 ] || PROBE=100000000
    DEVICE="${DEVICE:-$(field device)}"
    fact device "${DEVICE:-unknown}"
}

# A device that would take longer for a step, in nanoseconds, is not asked to.
SLOWEST=1500000000

# add NAME WEIGHT COMMAND...: a contender, which takes so many times as long as a step of `classic`. Where the command says
# STEPS, it is told so many that five rounds and the first take about two seconds.
add() {
    local name="$1" steps=$((2000000000 / (6 * $2 * PROBE)))
    if [ $(($2 * PROBE)) -gt "$SLOWEST" ]; then
        record bench "$name" skipped 0 null "a step would take seconds on this device"
        return
    fi
    steps=$((steps < 2 ? 2 : steps > 200 ? 200 : steps))
    shift 2
    CONTENDERS+=("$name")
    printf -v "COMMAND_${#CONTENDERS[@]}" '%q ' "${@//STEPS/$steps}"
}

choose_contenders() {
    local bench=("$ELBO" bench step --adapter "$ADAPTER" --steps STEPS --rounds 5 --json) large=4096 mode batch samples recipe
    # A device that takes milliseconds for a step would take minutes for this.
    [ "$PROBE" -lt 3000000 ] || large=1024
    add "classic, batch 128" 1 "${bench[@]}"
    for mode in eager fused compile graph; do torch classic "$mode"; done
    jax
    for batch in 512 4096; do add "classic, batch $batch" $((batch / 128)) "${bench[@]}" --batch "$batch"; done
    add "classic, 32 members" 32 "${bench[@]}" --members 32
    add "conv, batch 128" 10 "${bench[@]}" --recipe conv
    for mode in eager compile; do torch conv "$mode"; done
    add "residual, batch 128" 12 "${bench[@]}" --recipe residual --batch 128
    for mode in eager compile; do torch residual "$mode"; done
    add "colour, batch 128" 40 "${bench[@]}" --recipe colour --batch 128
    for samples in 1 5 50; do
        add "iwae, batch 20, k = $samples" "$((samples < 10 ? 1 : 8))" "${bench[@]}" --recipe iwae --set "objective.samples=$samples"
    done
    add "product 128x400x784" 1 "$ELBO" bench matmul 128 400 784 --adapter "$ADAPTER" --rounds 50 --json
    add "product $large x $large x $large" 1 "$ELBO" bench matmul $large $large $large --adapter "$ADAPTER" --rounds 5 --json
}

torch() {
    [[ "$PEERS" == *torch* ]] || return 0
    [ "$2" != graph ] || [ "$PEERS_DEVICE" = cuda ] || return 0
    add "$1, batch 128, PyTorch $2" 10 "$PYTHON" "$HERE/../benches/torch_step.py" --recipe "$1" --mode "$2" \
        --device "$PEERS_DEVICE" --steps STEPS
}

jax() {
    [[ "$PEERS" == *jax* ]] || return 0
    add "classic, batch 128, JAX scan" 2 "$PYTHON" "$HERE/../benches/jax_step.py" --steps STEPS
}

# Peers run on the GPU that elbo runs on, or, for trying this, on the CPU beside the CPU engine.
find_peers() {
    local python="${PEERS_PYTHON:-python3}" found torch='' jax=''
    PEERS='' PEERS_DEVICE=cuda PYTHON="$python"
    [ "$python" != none ] && [ -r "$HERE/../benches/torch_step.py" ] && command -v "$python" >/dev/null ||
        { fact peers "none: no Python, or no benches/ beside this script" && return; }
    [[ "$DEVICE" != *"CPU engine"* ]] || PEERS_DEVICE=cpu
    if [ "$PEERS_DEVICE" = cpu ]; then
        torch="$(timeout 60 "$python" -c 'import torch; print("cpu")' 2>/dev/null)"
        jax="$(timeout 60 "$python" -c 'import jax; print("cpu" if jax.default_backend() == "cpu" else "")' 2>/dev/null)"
    else
        torch="$(timeout 60 "$python" -c 'import torch; print(torch.cuda.get_device_name(0))' 2>/dev/null)"
        jax="$(timeout 60 "$python" -c 'import jax; print(jax.devices("gpu")[0].device_kind)' 2>/dev/null)"
    fi
    for found in "torch:$torch" "jax:$jax"; do
        local name="${found#*:}"
        if [ -z "$name" ]; then
            fact "${found%%:*}" "not in $python, or it finds no GPU"
        elif [ "$PEERS_DEVICE" = cpu ] || [[ "${DEVICE,,}" == *"${name,,}"* ]]; then
            PEERS="$PEERS ${found%%:*}"
            fact "${found%%:*}" "on $name"
        else
            fact "${found%%:*}" "left out: it would run on $name, and elbo runs on $DEVICE"
        fi
    done
    # JAX would take most of the GPU's memory.
    export XLA_PYTHON_CLIENT_PREALLOCATE=false
}

# One pass over all contenders that have not failed.
measure_all() {
    local i name command time late=0
    for ((i = 1; i <= ${#CONTENDERS[@]}; i++)); do
        name="${CONTENDERS[i - 1]}"
        [ "${STATE[$name]:-ok}" = ok ] || continue
        [ "$(time_left)" -ge $((KEPT + 10)) ] || { late=$((late + 1)) && continue; }
        command="COMMAND_$i"
        eval "step bench \"\$name\" 30 ${!command}"
        if [ "$STATUS" != ok ]; then
            STATE[$name]="$STATUS"
            continue
        fi
        time="$(whole "$(field ms_per_step)" 6)"
        TIMES[$name]="${TIMES[$name]:-} $time"
        local rate
        rate="$(field gflop_per_second)"
        WORK[$name]="${rate:+$(whole "$rate" 0) GFLOP/s}"
    done
    [ "$late" = 0 ] || record bench "pass $1" skipped 0 null "no time was left for $late of ${#CONTENDERS[@]} measurements"
}

# The text of the profiles goes to logs/ and into the report.
where_time_goes() {
    local recipe
    for recipe in classic conv residual iwae; do
        step profile "$recipe" 40 "$ELBO" bench step --adapter "$ADAPTER" --recipe "$recipe" --steps 10 --rounds 2 --profile
    done
}

# Ten steps of each recipe here and on the CPU engine, from the same seed.
agree_all() {
    local recipe data
    make_tables
    for recipe in classic binary plane gaussian gaussian-learned dynamic conditional iwae iwae2 conv residual colour \
        levels mixture anomaly table counts categories; do
        data=glyphs
        [ ! -e "$SCRATCH/$recipe.csv" ] || data="$SCRATCH/$recipe.csv"
        agree "$recipe" "$recipe" "$data" --set data.examples=384
    done
    agree "classic, 100 steps" classic glyphs --set data.examples=3840
}

# agree NAME RECIPE DATA OPTION...
agree() {
    local name="$1" recipe="$2" here cpu scale apart verdict
    local arguments=(train --recipe "$2" --data "$3" --epochs 1 --batch 32 --set data.validation=0 --seed 1 --tune off --quiet "${@:4}")
    rm -rf "$SCRATCH/here" "$SCRATCH/cpu"
    if [ "$(time_left)" -lt 5 ]; then
        AGREEMENT+=("| $name | | | | skipped |")
        return
    fi
    # Side by side: nothing is timed.
    timeout -k 5 60 "$ELBO" "${arguments[@]}" --adapter cpu --out "$SCRATCH/cpu" >/dev/null 2>"$SCRATCH/cpu.err" </dev/null &
    step agree "$name" 60 "$ELBO" "${arguments[@]}" --adapter "$ADAPTER" --out "$SCRATCH/here"
    wait $!
    if [ "$STATUS" != ok ]; then
        AGREEMENT+=("| $name | | | | $STATUS |")
        return
    fi
    here="$(loss "$SCRATCH/here")" cpu="$(loss "$SCRATCH/cpu")"
    if [ "$cpu" = 0 ] || [ "$here" = 0 ]; then
        AGREEMENT+=("| $name | | | | no loss |")
        record agree "$name, compared" failed 0 null "no loss to compare: $(tail -n 1 "$SCRATCH/cpu.err")"
        return
    fi
    # Parts of a thousand millions.
    scale=$((cpu < 0 ? -cpu : cpu))
    apart=$(((here > cpu ? here - cpu : cpu - here) * 1000000 / (scale / 1000 + 1)))
    verdict=ok && [ "$apart" -le 100000 ] || verdict=failed
    AGREEMENT+=("| $name | $(nats "$here") | $(nats "$cpu") | $((apart / 1000)).$(printf %03d $((apart % 1000)))e-6 | $verdict |")
    record agree "$name, compared" "$verdict" 0 "{\"micronats\":$here,\"micronats_cpu\":$cpu,\"relative_e9\":$apart}" \
        "$([ "$verdict" = ok ] || echo "losses are apart by $apart parts of 1e9, more than 1e-4")"
}

# Distortion and rate of the first epoch of a run, in millionths of a nat.
loss() {
    local line cells
    { read -r line && read -r line; } 2>/dev/null <"$1/metrics.csv" || { echo 0 && return; }
    IFS=, read -ra cells <<<"$line"
    echo $(($(whole "${cells[1]:-0}" 6) + $(whole "${cells[2]:-0}" 6)))
}

nats() {
    local sign='' value="$1"
    [ "$value" -ge 0 ] || { sign=- && value=$((-value)); }
    printf '%s%d.%06d' "$sign" $((value / 1000000)) $((value % 1000000))
}

# Data for the recipes that images are none for.
make_tables() {
    local row words=(red green blue)
    RANDOM=7
    echo a,b,c,d >"$SCRATCH/table.csv"
    echo a,b,c,d >"$SCRATCH/counts.csv"
    echo a,b,c,d >"$SCRATCH/categories.csv"
    for ((row = 0; row < 320; row++)); do
        echo "$((RANDOM % 900)).$((RANDOM % 10)),${words[RANDOM % 3]},$((RANDOM % 2)),$((RANDOM % 99 + 1))e-2" >>"$SCRATCH/table.csv"
        echo "$((RANDOM % 9)),$((RANDOM % 30)),$((RANDOM % 4)),$((RANDOM % 90))" >>"$SCRATCH/counts.csv"
        echo "${words[RANDOM % 3]},${words[RANDOM % 3]},${words[RANDOM % 2]},${words[RANDOM % 3]}" >>"$SCRATCH/categories.csv"
    done
}

# The long part. Runs that are there are gone on with.
train_long() {
    [ -e "$OUT/report.jsonl" ] || : >"$OUT/report.jsonl"
    look_around
    train_one classic "$TOTAL" --epochs 10
    train_one residual $((TOTAL / 4))
    train_one iwae "$TOTAL"
    local run
    for run in classic residual iwae; do
        [ ! -d "$OUT/runs/$run" ] || step evaluate "$run, 5000 samples" 600 "$ELBO" eval "$OUT/runs/$run" --adapter "$ADAPTER" --samples 5000 --json
    done
}

# train_one RECIPE SECONDS OPTION...: within so many seconds, and so that a fifth of the time is left at the end.
train_one() {
    local recipe="$1" seconds="$2" left run="$OUT/runs/$1"
    left=$(($(time_left) - TOTAL / 5))
    seconds=$((seconds < left ? seconds : left))
    if [ "$seconds" -lt 5 ]; then
        record train "$recipe" skipped 0 null "no time was left"
        return
    fi
    local how=(--recipe "$recipe" --data "$DATA" --out "$run" "${@:3}")
    [ ! -d "$run/checkpoints" ] && [ ! -e "$run/metrics.csv" ] || how=(--resume "$run")
    # --max-time ends with a checkpoint; the limit is for a program that does not.
    step train "$recipe" $((seconds + 60)) "$ELBO" train "${how[@]}" --adapter "$ADAPTER" --max-time "${seconds}s"
}

# statistics TIMES...: median, least and most of whole numbers, in MEDIAN, LEAST and MOST.
statistics() {
    local sorted
    mapfile -t sorted < <(printf '%s\n' "$@" | sort -n)
    MEDIAN="${sorted[$((($# - 1) / 2))]}" LEAST="${sorted[0]}" MOST="${sorted[-1]}"
}

write_report() {
    {
        echo "# elbo on ${DEVICE:-an unknown device}"
        echo
        echo "$(date -u +%Y-%m-%d\ %H:%M) UTC, \`--adapter $ADAPTER\`, ${SECONDS} s of $TOTAL. By \`scripts/gpu.sh\`; a line for each"
        echo 'command in `report.jsonl`, what they printed in `logs/`.'
        echo
        [ ${#FACTS[@]} -eq 0 ] || printf '%s\n' "${FACTS[@]}"
        echo "- doctor: ${DOCTOR:-not run}"
        report_speed
        report_agreement
        report_long
        report_profiles
        if [ ${#FAILED[@]} -gt 0 ]; then
            printf '\n## What failed\n\n| what | how | last words |\n|---|---|---|\n'
            printf '%s\n' "${FAILED[@]}"
        fi
    } >"$OUT/report.md.new" && mv "$OUT/report.md.new" "$OUT/report.md"
}

# The first contender of each kind of work is elbo; those after it that do the same are compared with it.
report_speed() {
    local name own='' base=0 ratio
    [ ${#TIMES[@]} -gt 0 ] || return 0
    printf '\n## Speed\n\nMedian of the passes, which were gone through in turn.\n\n'
    echo '| what | ms | least to most | passes | | elbo is so many times as fast |'
    echo '|---|---:|---:|---:|---:|---:|'
    for name in "${CONTENDERS[@]}"; do
        if [ -z "${TIMES[$name]:-}" ]; then
            [ -z "${STATE[$name]:-}" ] || echo "| $name | ${STATE[$name]} | | | | |"
            continue
        fi
        # shellcheck disable=SC2086
        set -- ${TIMES[$name]}
        statistics "$@"
        ratio=''
        case "$name" in
            *PyTorch* | *JAX*) [ "${name%, *}" != "$own" ] || [ "$base" = 0 ] || ratio="$((MEDIAN * 100 / base))" ;;
            *) own="$name" base="$MEDIAN" ;;
        esac
        [ -z "$ratio" ] || ratio="$(printf '%d.%02d' $((ratio / 100)) $((ratio % 100)))"
        echo "| $name | $(ms "$MEDIAN") | $(ms "$LEAST") to $(ms "$MOST") | $# | ${WORK[$name]:-} | $ratio |"
    done
}

report_agreement() {
    [ ${#AGREEMENT[@]} -gt 0 ] || return 0
    printf '\n## Ten steps of each recipe, here and on the CPU engine\n\nLoss of these steps in nats; 1e-4 are allowed.\n\n'
    echo '| recipe | here | CPU engine | apart, relative | |'
    echo '|---|---:|---:|---:|---|'
    printf '%s\n' "${AGREEMENT[@]}"
}

report_long() {
    local run log
    for run in classic residual iwae; do
        for log in "$OUT/logs/train-$run.out" "$OUT/logs/evaluate-${run}__5000_samples.out"; do
            [ ! -s "$log" ] || { printf '\n## %s\n\n```text\n' "$(basename "$log" .out)" && tail -n 12 "$log" && echo '```'; }
        done
    done
}

report_profiles() {
    local log
    for log in "$OUT"/logs/profile-*.out; do
        [ ! -s "$log" ] || { printf '\n## Where a step of %s goes\n\n```text\n' "$(basename "$log" .out)" && cat "$log" && echo '```'; }
    done
}

main "$@"
