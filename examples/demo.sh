#!/usr/bin/env bash
# Runs a real binary over the files of this folder with nothing set up: an embedded Redis, an embedded store, one worker.
set -euo pipefail
cd "$(dirname "$0")/.."

# Everything of the demo stays below the checkout, in a folder that git ignores.
export HEADROOM_HOME="$PWD/.headroom/home"
output="$PWD/.headroom/demo"

echo '$ headroom run --input examples/files --output .headroom/demo -- sha256sum {input}'
node bin/headroom.js run --title demo --input examples/files --output "$output" -- sha256sum '{input}'

echo "Outputs in .headroom/demo:"
(cd "$output" && find . -type f | sort | sed 's|^\./|  |')
