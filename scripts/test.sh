#!/usr/bin/env bash
# Everything that must hold before a change is taken: build, checks, all tests. Installs the Debian packages that the
# tests need and that are missing. Ends with one line: "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.."

if ! scripts/test-needs.sh; then
  echo "0 passed, 1 failed"
  exit 1
fi

if [ ! -x node_modules/.bin/vitest ]; then
  echo "expected the packages of package-lock.json, found none in node_modules; install them with: npm ci" >&2
  echo "0 passed, 1 failed"
  exit 1
fi

failed_steps=0
for step in build check; do
  echo "== npm run $step"
  npm run --silent "$step" || { echo "failed: npm run $step" >&2; failed_steps=$((failed_steps + 1)); }
done

report=$(mktemp)
trap 'rm -f "$report"' EXIT
echo "== vitest"
npx vitest run --reporter=default --reporter=json --outputFile.json="$report"
vitest_status=$?

node scripts/count-tests.js "$report" "$vitest_status" "$failed_steps"
