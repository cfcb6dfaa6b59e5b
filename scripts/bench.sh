#!/usr/bin/env bash
# Builds the product and the benches, and runs those that are named (all of them without a name). Each prints one JSON line.
set -euo pipefail
cd "$(dirname "$0")/.."
export ORT_DISABLE_TELEMETRY=1
built=node_modules/.cache/headroom-bench
npm run --silent build
npx tsc -p tsconfig.bench.json
node scripts/copy-assets.js "$built/src"
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  for file in bench/*.ts; do names+=("$(basename "$file" .ts)"); done
fi
for name in "${names[@]}"; do
  [ -f "$built/bench/$name.js" ] || { echo "bench: expected one of bench/*.ts, found no $name" >&2; exit 2; }
  node "$built/bench/$name.js"
done
