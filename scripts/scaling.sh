#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END_OF_USAGE'
Measures how a training step scales, as a table and a picture for docs/PERFORMANCE.md.

usage: scripts/scaling.sh [ADAPTER [OUT]]

  ADAPTER   as for `elbo train` (default: cpu)
  OUT       folder for ADAPTER.md and ADAPTER.svg (default: docs/scaling)

environment:
  ELBO      the program (default: target/release/elbo)
  ROUNDS    rounds of each measurement, of which the median counts (default: 3)

One extent changes at a time: batch 32 to 4096 (hidden 400, depth 1), hidden 128 to 4096 (batch 128, depth 1), depth 1 to
6 (batch 128, hidden 400). Data are random bytes in MNIST's shape.
END_OF_USAGE
}

main() {
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    case "${1:-}" in
        -h | --help) usage && exit ;;
    esac
    local adapter="${1:-cpu}" out="${2:-docs/scaling}"
    mkdir -p "$out"
    local rows
    rows="$(mktemp)"
    # The name is put in now: the variable is gone when the script ends.
    # shellcheck disable=SC2064
    trap "rm -f '$rows'" EXIT
    for batch in 32 128 512 1024 4096; do measure "$adapter" batch "$batch" "$batch" 400 1; done >"$rows"
    for hidden in 128 400 1024 2048 4096; do measure "$adapter" hidden "$hidden" 128 "$hidden" 1; done >>"$rows"
    for depth in 1 2 3 4 6; do measure "$adapter" depth "$depth" 128 400 "$depth"; done >>"$rows"
    table "$adapter" <"$rows" >"$out/$adapter.md"
    picture "$adapter" <"$rows" >"$out/$adapter.svg"
    echo "$out/$adapter.md $out/$adapter.svg"
}

# measure ADAPTER WHAT VALUE BATCH HIDDEN DEPTH: one line, "WHAT VALUE BATCH HIDDEN DEPTH MILLISECONDS GFLOPS".
# A step does 6 operations for each weight and example, but the gradient of the data is not needed.
measure() {
    local adapter="$1" what="$2" value="$3" batch="$4" hidden="$5" depth="$6" layers flops ms steps
    layers="$(printf "$hidden,%.0s" $(seq "$depth"))"
    flops=$((batch * (2 * 2 * 784 * hidden + 3 * 2 * (784 * hidden + 60 * hidden + 2 * (depth - 1) * hidden * hidden))))
    steps=$((4000000000 / flops))
    steps=$((steps < 2 ? 2 : steps > 64 ? 64 : steps))
    ms="$("${ELBO:-target/release/elbo}" bench step --adapter "$adapter" --batch "$batch" --steps "$steps" \
        --rounds "${ROUNDS:-3}" --set "hidden=[${layers%,}]" --json |
        sed -n 's/.*"ms_per_step":\([0-9.e-]*\).*/\1/p')"
    awk -v ms="$ms" -v flops="$flops" -v head="$what $value $batch $hidden $depth" \
        'BEGIN { printf "%s %.3f %.1f\n", head, ms, flops / ms / 1e6 }'
}

table() {
    awk -v adapter="$1" '
        BEGIN {
            print "| changes | batch | hidden | depth | ms a step | images/s | GFLOP/s |"
            print "|---|---:|---:|---:|---:|---:|---:|"
        }
        { printf "| %s | %d | %d | %d | %.2f | %.0f | %.1f |\n", $1, $3, $4, $5, $6, 1000 * $3 / $6, $7 }'
}

# Three curves, milliseconds over the extent that changes, both logarithmic.
picture() {
    awk -v adapter="$1" '
        function x(value) { return 60 + 560 * log(value) / log(4096) }
        function y(ms) { return 380 - 340 * (log(ms) - low) / (high - low) }
        { what[NR] = $1; value[NR] = $2; ms[NR] = $6 }
        END {
            low = 1e9; high = -1e9
            for (i = 1; i <= NR; i++) {
                if (log(ms[i]) < low) low = log(ms[i])
                if (log(ms[i]) > high) high = log(ms[i])
            }
            low -= 0.3; high += 0.3
            colour["batch"] = "#1b6ca8"; colour["hidden"] = "#c8553d"; colour["depth"] = "#4f772d"
            print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 430\" font-family=\"sans-serif\" font-size=\"12\">"
            print "<rect width=\"720\" height=\"430\" fill=\"white\"/>"
            printf "<text x=\"60\" y=\"24\" font-size=\"14\">Training step, 784-H-20, adapter %s: milliseconds over the extent that changes</text>\n", adapter
            for (p = -3; p <= 5; p++) for (f = 1; f <= 5; f += 4) {
                v = f * 10 ^ p
                if (log(v) > low && log(v) < high) {
                    printf "<line x1=\"60\" x2=\"620\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", y(v), y(v)
                    printf "<text x=\"52\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", y(v) + 4, v
                }
            }
            for (v = 1; v <= 4096; v *= 4)
                printf "<text x=\"%.1f\" y=\"400\" text-anchor=\"middle\">%d</text>\n", x(v), v
            for (i = 1; i <= NR; i++) {
                if (what[i] == what[i - 1])
                    printf "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"2\"/>\n", x(value[i - 1]), y(ms[i - 1]), x(value[i]), y(ms[i]), colour[what[i]]
                printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", x(value[i]), y(ms[i]), colour[what[i]]
                if (what[i] != what[i + 1])
                    printf "<text x=\"%.1f\" y=\"%.1f\" fill=\"%s\">%s</text>\n", x(value[i]) + 8, y(ms[i]) + 4, colour[what[i]], what[i]
            }
            print "</svg>"
        }'
}

main "$@"
