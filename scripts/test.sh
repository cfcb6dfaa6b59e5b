#!/usr/bin/env bash
# Everything that must hold before a change is taken: build, checks, all tests. Installs the Debian packages that the
# tests need and that are missing. Ends with one line: "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.."

# command that must be there : package that has it
needs=(
  redis-server:redis-server redis-sentinel:redis-sentinel chromium:chromium parallel:parallel
  xz:xz-utils ps:procps curl:curl pg_ctlcluster:postgresql bwrap:bubblewrap
  prometheus:prometheus promtool:prometheus amtool:prometheus-alertmanager
)

missing=()
for need in "${needs[@]}"; do
  command -v "${need%%:*}" >/dev/null || missing+=("${need##*:}")
done

# Packages start their services when installed; ours must not: tests start their own servers on their own sockets.
deny=/usr/sbin/policy-rc.d
install_missing() {
  local denied=no
  if [ ! -e "$deny" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$deny" && chmod 755 "$deny" && denied=yes
  fi
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "$@"
  local status=$?
  if [ "$denied" = yes ]; then rm -f "$deny"; fi
  return $status
}

if [ ${#missing[@]} -gt 0 ]; then
  hint="apt-get install -y --no-install-recommends ${missing[*]}"
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "expected the packages that the tests need, found some missing; install them with: sudo $hint" >&2
    echo "0 passed, 1 failed"
    exit 1
  fi
  echo "installing: ${missing[*]}"
  if ! install_missing "${missing[@]}"; then
    echo "expected to install what the tests need, found a failure in: $hint" >&2
    echo "0 passed, 1 failed"
    exit 1
  fi
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
