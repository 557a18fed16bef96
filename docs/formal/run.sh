#!/bin/sh
# run.sh [MODEL...] runs every model, or those named, and compares each of ProVerif's results with the file EXPECTED.
# It fails on any difference. PROVERIF=/path/to/proverif; LIMIT=CPU seconds for a model (120). README.md says what the models mean.
cd "$(dirname "$0")" || exit 1
: "${PROVERIF:=proverif}" "${LIMIT:=120}"
if ! command -v "$PROVERIF" >/dev/null 2>&1; then
  echo "docs/formal: proverif is not on the PATH: the models are not run"
  exit 0
fi
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
tab=$(printf '\t')
all=$(ls *.pv | sed 's/\.pv$//')
cut -f1 EXPECTED | sort -u >"$tmp/expected"
bad=0
if ! printf '%s\n' $all | sort | cmp -s - "$tmp/expected"; then
  echo "EXPECTED does not name the same models as there are .pv files"
  bad=1
fi

for m in ${*:-$all}; do
  m=${m%.pv}
  if [ ! -f "$m.pv" ]; then
    echo "there is no model $m"
    bad=1
    continue
  fi
  # The first line of a model names its libraries.
  libs=$(sed -n '1s/^(\* libs: \(.*\) \*)$/\1/p' "$m.pv")
  [ -n "$libs" ] || { echo "$m.pv names no libraries in its first line"; bad=1; continue; }
  args=$(for l in $libs; do printf ' -lib %s.pvl' "$l"; done)
  (
    ulimit -t "$LIMIT"
    "$PROVERIF" $args "$m.pv" >"$tmp/out" 2>&1 </dev/null
    echo $? >"$tmp/rc"
    times >"$tmp/times"
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
    }' "$tmp/out" >"$tmp/got"
  grep "^$m$tab" EXPECTED | cut -f2 >"$tmp/want"
  grep "^$m$tab" EXPECTED | cut -f3 >"$tmp/what"
  seconds=$(sed -n '2s/^\([0-9]*\)m\([0-9.]*\)s.*/\1 \2/p' "$tmp/times" | awk '{ printf "%.1f", $1 * 60 + $2 }')
  paste "$tmp/want" "$tmp/got" "$tmp/what" | awk -F '\t' -v m="$m" -v s="$seconds" '
    { printf "%-4s %-9s %-31s %6s  %s\n", ($1 == $2 ? "ok" : "BAD"), ($2 == "" ? "none" : $2), (NR == 1 ? m : ""), (NR == 1 ? s "s" : ""), $3
      if ($1 != $2) printf "     expected: %s\n", ($1 == "" ? "nothing more" : $1) }'
  if ! cmp -s "$tmp/want" "$tmp/got" || [ "$(cat "$tmp/rc")" != 0 ]; then
    bad=1
    printf 'BAD  %s: ProVerif ended with %s; the end of what it said:\n' "$m" "$(cat "$tmp/rc")"
    tail -3 "$tmp/out" | cut -c1-200
  fi
done
if [ $bad = 0 ]; then echo "every result is as expected"; else echo "results differ from EXPECTED"; fi
exit $bad
