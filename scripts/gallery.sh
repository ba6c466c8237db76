#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END_OF_USAGE'
Trains a small model of each family and draws samples and reconstructions of all of them into one picture; into a second one those of
two players beside the VAEs with the same decoders, on drawn digits and on a folder of colour pictures.

usage: scripts/gallery.sh [ADAPTER [OUT.png [PLAYERS.png]]]

  ADAPTER      as for `elbo train` (default: cpu)
  OUT.png      default: assets/gallery.png; "" leaves it out
  PLAYERS.png  default: assets/players.png; "" leaves it out

environment:
  ELBO      the program (default: target/release/elbo, which is built)
  EPOCHS    passes over 12,000 drawn digits, and six times as many over 900 colour pictures (default: 10)
  PYTHON    with NumPy and Pillow, which draw the colour pictures of the second one (default: python3)
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
    local adapter="${1:-cpu}" out="${2-assets/gallery.png}" second="${3-assets/players.png}"
    local folder="${FOLDER:-target/gallery}" epochs="${EPOCHS:-10}"
    if [ -z "${ELBO:-}" ]; then
        cargo build --release
        ELBO=target/release/elbo
    fi
    [ -z "$out" ] || families
    [ -z "$second" ] || players
}

families() {
    cargo run --release --example tutorial_data -- "$folder/data"
    local recipe
    for recipe in "${GREY[@]}"; do
        model "$recipe" "$recipe" "$epochs" glyphs --batch 64
    done
    for recipe in "${COLOUR[@]}"; do
        model "$recipe" "$recipe" "$((6 * epochs))" "$folder/data/colours" --batch 32
    done
    local names=("${GREY[@]}" "${COLOUR[@]}")
    cargo run --release --example gallery -- "$out" "${names[@]/#/$folder/}"
}

players() {
    [ -e "$folder/shapes" ] || "${PYTHON:-python3}" benches/pictures.py "$folder/shapes"
    model digits-vae classic "$((2 * epochs))" glyphs --batch 64
    model digits-vae-gan classic "$((2 * epochs))" glyphs --batch 64 --beta 0.05 --set features=2 --set label_smoothing=0.1 \
        --set 'discriminator_layers=[dense 256, silu, dense 128, silu]' --set discriminator_features=2 --set beta1=0.5 \
        --set discriminator_lr=2e-4
    model digits-wae-gan wae-gan "$((2 * epochs))" glyphs --batch 64 --latent 20
    # Those of the recipe `conv` with half of the channels.
    local down='conv 16 kernel 4 stride 2 padding 1, silu, conv 32 kernel 4 stride 2 padding 1, silu'
    local up='conv-transpose 16 kernel 4 stride 2 padding 1, silu, conv-transpose out kernel 4 stride 2 padding 1'
    local small=(--set "encoder_layers=[$down, dense 128, silu]"
        --set "decoder_layers=[dense 128, silu, dense data/4x32, silu, $up]")
    model shapes-vae colour "$((3 * epochs))" "$folder/shapes" "${small[@]}"
    model shapes-vae-gan vae-gan-colour "$((3 * epochs))" "$folder/shapes" "${small[@]}" \
        --set "discriminator_layers=[$down, dense 64, silu]"
    local names=(digits-vae digits-vae-gan digits-wae-gan shapes-vae shapes-vae-gan)
    cargo run --release --example gallery -- "$second" "${names[@]/#/$folder/}"
}

# model NAME RECIPE EPOCHS DATA [FLAG]...
model() {
    local run="$folder/$1"
    if [ ! -e "$run/reconstructions.png" ]; then
        "$ELBO" train --recipe "$2" --epochs "$3" --data "$4" "${@:5}" --adapter "$adapter" --out "$run"
        local draws=(-n 16)
        # Four classes, four draws of each.
        [ "$1" != conditional ] || draws=(--class 2,4,7,9 -n 4)
        "$ELBO" sample "$run" "${draws[@]}" --adapter "$adapter" --out "$run/samples.png"
        "$ELBO" reconstruct "$run" -n 8 --adapter "$adapter" --out "$run/reconstructions.png"
    fi
}

main "$@"
