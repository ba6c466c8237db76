#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END_OF_USAGE'
Trains a small model of each family and draws samples and reconstructions of all of them into one picture.

usage: scripts/gallery.sh [ADAPTER [OUT.png]]

  ADAPTER   as for `elbo train` (default: cpu)
  OUT.png   default: assets/gallery.png

environment:
  ELBO      the program (default: target/release/elbo, which is built)
  EPOCHS    passes over 12,000 drawn digits, and six times as many over 900 colour pictures (default: 10)
  FOLDER    where the runs are kept; those that are there already are not trained again (default: target/gallery)
END_OF_USAGE
}

GREY=(classic binary dynamic iwae iwae2 conditional gaussian gaussian-learned conv residual)
COLOUR=(colour levels)

main() {
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    case "${1:-}" in
        -h | --help) usage && exit ;;
    esac
    local adapter="${1:-cpu}" out="${2:-assets/gallery.png}" folder="${FOLDER:-target/gallery}" epochs="${EPOCHS:-10}"
    if [ -z "${ELBO:-}" ]; then
        cargo build --release
        ELBO=target/release/elbo
    fi
    cargo run --release --example tutorial_data -- "$folder/data"
    local recipe
    for recipe in "${GREY[@]}"; do
        model "$recipe" "$epochs" glyphs --batch 64
    done
    for recipe in "${COLOUR[@]}"; do
        model "$recipe" "$((6 * epochs))" "$folder/data/colours" --batch 32
    done
    local names=("${GREY[@]}" "${COLOUR[@]}")
    cargo run --release --example gallery -- "$out" "${names[@]/#/$folder/}"
}

# model RECIPE EPOCHS DATA [FLAG]...
model() {
    local run="$folder/$1"
    if [ ! -e "$run/reconstructions.png" ]; then
        "$ELBO" train --recipe "$1" --epochs "$2" --data "$3" "${@:4}" --adapter "$adapter" --out "$run"
        local draws=(-n 16)
        # Four classes, four draws of each.
        [ "$1" != conditional ] || draws=(--class 2,4,7,9 -n 4)
        "$ELBO" sample "$run" "${draws[@]}" --adapter "$adapter" --out "$run/samples.png"
        "$ELBO" reconstruct "$run" -n 8 --adapter "$adapter" --out "$run/reconstructions.png"
    fi
}

main "$@"
