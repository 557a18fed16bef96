#!/bin/sh
# run.sh [MODEL...] runs every model, or those named, and compares each of ProVerif's results with the file EXPECTED.
# It fails on any difference. PROVERIF=/path/to/proverif; LIMIT=CPU seconds for a model (120); JOBS=models at a time (as many as there are
# cores). README.md says what the models mean.
cd "$(dirname "$0")" || exit 1
: "${PROVERIF:=proverif}" "${LIMIT:=120}" "${JOBS:=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)}"
export PROVERIF LIMIT
tab=$(printf '\t')

# check MODEL DIR runs one, with its files in a directory of its own.
check() {
  m=$1
  if [ ! -f "$m.pv" ]; then
    echo "there is no model $m"
    return 1
  fi
  # The first line of a model names its libraries.
  libs=$(sed -n '1s/^(\* libs: \(.*\) \*)$/\1/p' "$m.pv")
  [ -n "$libs" ] || { echo "$m.pv names no libraries in its first line"; return 1; }
  args=$(for l in $libs; do printf ' -lib %s.pvl' "$l"; done)
  (
    ulimit -t "$LIMIT"
    "$PROVERIF" $args "$m.pv" >"$2/out" 2>&1 </dev/null
    echo $? >"$2/rc"
    times >"$2/times"
  ) 2>/dev/null
  # What a query came to: true, false, reached (an event can happen: ProVerif says that "not event" is false), or, where ProVerif proves
  # neither, attack if it found a trace and unproved if not.
  awk '
    /trace has been found/ { trace = 1 }
    /^RESULT \((even|but) / { next }
    /^RESULT / {
      v = "unproved"
      if (/ is true\.$/) v = "true"
      else if (/^RESULT not event\([^&]* is false\.$/) v = "reached"
      else if (/ is false\.$/) v = "false"
      else if (trace) v = "attack"
      print v
      trace = 0
    }' "$2/out" >"$2/got"
  grep "^$m$tab" EXPECTED | cut -f2 >"$2/want"
  grep "^$m$tab" EXPECTED | cut -f3 >"$2/what"
  seconds=$(sed -n '2s/^\([0-9]*\)m\([0-9.]*\)s.*/\1 \2/p' "$2/times" | awk '{ printf "%.1f", $1 * 60 + $2 }')
  paste "$2/want" "$2/got" "$2/what" | awk -F '\t' -v m="$m" -v s="$seconds" '
    { printf "%-4s %-9s %-31s %6s  %s\n", ($1 == $2 ? "ok" : "BAD"), ($2 == "" ? "none" : $2), (NR == 1 ? m : ""), (NR == 1 ? s "s" : ""), $3
      if ($1 != $2) printf "     expected: %s\n", ($1 == "" ? "nothing more" : $1) }'
  if ! cmp -s "$2/want" "$2/got" || [ "$(cat "$2/rc")" != 0 ]; then
    printf 'BAD  %s: ProVerif ended with %s; the end of what it said:\n' "$m" "$(cat "$2/rc")"
    tail -3 "$2/out" | cut -c1-200
    return 1
  fi
}

if [ "$1" = --check ]; then
  check "$2" "$3"
  exit
fi
if ! command -v "$PROVERIF" >/dev/null 2>&1; then
  echo "docs/formal: proverif is not on the PATH: the models are not run"
  exit 0
fi
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
all=$(ls *.pv | sed 's/\.pv$//')
cut -f1 EXPECTED | sort -u >"$tmp/expected"
bad=0
if ! printf '%s\n' $all | sort | cmp -s - "$tmp/expected"; then
  echo "EXPECTED does not name the same models as there are .pv files"
  bad=1
fi

models=$(for m in ${*:-$all}; do echo "${m%.pv}"; done)
for m in $models; do mkdir -p "$tmp/$m"; done
printf '%s\n' $models | xargs -n 1 -P "$JOBS" sh -c './run.sh --check "$1" "$0/$1" >"$0/$1/said" 2>&1' "$tmp" || bad=1
for m in $models; do cat "$tmp/$m/said"; done
if [ $bad = 0 ]; then echo "every result is as expected"; else echo "results differ from EXPECTED"; fi
exit $bad
