#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# smoke.sh FUZZER CORPUS: a short run (VMR_FULL=1: a longer one) from the seeds; what it finds stays out of the checkout.
set -eu
work=$(mktemp -d "${TMPDIR:-/tmp}/vmr-fuzz.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/corpus"
[ ! -d "$2" ] || cp -r "$2/." "$work/corpus/"
seconds=8
[ "${VMR_FULL:-0}" != 1 ] || seconds=120
status=0
"$1" -max_total_time="$seconds" -verbosity=1 -max_len=65536 -timeout=10 -rss_limit_mb=1024 \
    -artifact_prefix="$work/" "$work/corpus" >"$work/out" 2>&1 || status=$?
tail -n 25 "$work/out"
for found in "$work"/crash-* "$work"/leak-* "$work"/timeout-* "$work"/oom-*; do
    [ ! -e "$found" ] || { echo "input:"; base64 "$found"; }
done
exit "$status"
