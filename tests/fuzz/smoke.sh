#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# smoke.sh FUZZER CORPUS [DICTIONARY]: ten seconds (VMR_FULL=1: 300; VMR_FUZZ_SECONDS: so many) from the seeds.  What it finds stays
# out of the checkout.  Meson runs as many at a time as there are processors.
set -eu
work=$(mktemp -d "${TMPDIR:-/tmp}/vmr-fuzz.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/corpus"
[ ! -d "$2" ] || cp -r "$2/." "$work/corpus/"
seconds=10
[ "${VMR_FULL:-0}" != 1 ] || seconds=300
seconds=${VMR_FUZZ_SECONDS:-$seconds}
status=0
"$1" ${3:+-dict="$3"} -max_total_time="$seconds" -verbosity=1 -max_len=65536 -timeout=60 -rss_limit_mb=1024 \
    -artifact_prefix="$work/" "$work/corpus" >"$work/out" 2>&1 || status=$?
tail -n 25 "$work/out"
for found in "$work"/crash-* "$work"/leak-* "$work"/timeout-* "$work"/oom-*; do
    [ ! -e "$found" ] || { echo "input:"; base64 "$found"; }
done
exit "$status"
