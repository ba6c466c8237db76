#!/usr/bin/env bash
# Whether two builds of elbo train to the same bits: a few steps of every recipe that the first one knows, on each of the
# adapters named, compared parameter by parameter and moment by moment.
#
#   scripts/bits.sh OLD NEW [ADAPTER...]      programs; adapters as --adapter takes them [default: cpu]
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,6s/^# \?//p' "$0"; exit 2; }
old=$(realpath "$1") new=$(realpath "$2")
shift 2
[ $# -gt 0 ] || set -- cpu
recipes=$(cd "$(dirname "$0")/../assets/recipes" && ls ./*.toml | sed 's|^\./||; s|\.toml$||')
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
awk 'BEGIN { srand(1); print "a,b,c,kind"
  for (i = 0; i < 300; i++) printf "%.4f,%.3f,%d,%s\n", rand(), 5 * rand() - 2, 9 * rand(), rand() < 0.4 ? "x" : "y" }' > table.csv
awk 'BEGIN { srand(2); print "a,b,c,d"
  for (i = 0; i < 300; i++) print int(9 * rand() * rand()) "," int(20 * rand() * rand()) "," int(3 * rand()) "," int(5 * rand()) }' > counts.csv
awk 'BEGIN { srand(3); print "a,b,c,d"
  for (i = 0; i < 300; i++) printf "%.4f,%.4f,%.4f,%.4f\n", rand(), 9 * rand(), rand() - 1, 3 * rand() }' > numbers.csv
different=0
for adapter in "$@"; do
  for recipe in $recipes; do
    case $recipe in
      table) data=(--data table.csv) ;;
      counts | categories) data=(--data counts.csv) ;;
      anomaly) data=(--data numbers.csv) ;;
      vamp) data=(--set data.examples=160 --batch 32 --set prior_components=20) ;;
      colour | levels | mixture | vq-colour) data=(--set data.examples=48 --batch 16) ;;
      *) data=(--set data.examples=160 --batch 32) ;;
    esac
    say="$recipe on $adapter"
    common=(train --recipe "$recipe" "${data[@]}" --epochs 2 --seed 5 --adapter "$adapter")
    if ! "$old" "${common[@]}" --out old > old.log 2>&1; then
      echo "$say: not compared: $(tail -n 1 old.log)"
    elif ! "$new" "${common[@]}" --out new > new.log 2>&1; then
      echo "$say: DIFFERENT: $(tail -n 1 new.log)"
      different=1
    else
      what=
      for file in parameters moments; do
        cmp -s "old/checkpoints/$(cat old/checkpoints/last)/$file.safetensors" \
          "new/checkpoints/$(cat new/checkpoints/last)/$file.safetensors" || what="$what $file"
      done
      [ -n "$what" ] && different=1
      echo "$say: ${what:+DIFFERENT:}${what:- the same bits}"
    fi
    rm -rf old new
  done
done
exit $different
