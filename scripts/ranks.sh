#!/usr/bin/env bash
set -euo pipefail

# Images/s of the epochs of one process with two threads, and of two with one each: docs/PERFORMANCE.md.
# usage: scripts/ranks.sh ELBO SETTINGS...    ELBO was built with --features mpi; chrt -r 10 before it where times should compare

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
elbo="$1"
shift

# epochs NAME COMMAND...
epochs() {
    local name="$1" run="$folder/run"
    shift
    rm -rf "$run"
    "$@" --out "$run" >"$folder/said" 2>&1 || { tail -3 "$folder/said" >&2 && exit 1; }
    awk -F, -v name="$name" '
        NR == 1 { for (i = 1; i <= NF; i++) if ($i == "images_per_second") column = i; printf "%s:", name }
        NR > 2 { printf " %s", $column }
        END { print "" }' "$run/metrics.csv"
}

for _ in 1 2 3; do
    epochs "1 process, 2 threads" "$elbo" train --adapter cpu --threads 2 "$@"
    epochs "2 processes, 1 thread" mpirun --allow-run-as-root -n 2 --bind-to core "$elbo" train --adapter cpu --threads 1 "$@"
done
