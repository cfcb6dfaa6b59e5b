#!/usr/bin/env bash
# Installs the Debian packages that the tests need and that are missing, and those that are named besides. Where it may not,
# it names the command that does, and exits 1.
set -uo pipefail

# command that must be there : package that has it
needs=(
  redis-server:redis-server redis-sentinel:redis-sentinel chromium:chromium parallel:parallel
  xz:xz-utils ps:procps curl:curl openssl:openssl pg_ctlcluster:postgresql bwrap:bubblewrap
  prometheus:prometheus promtool:prometheus amtool:prometheus-alertmanager
)

missing=("$@")
for need in "${needs[@]}"; do
  command -v "${need%%:*}" >/dev/null || missing+=("${need##*:}")
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

hint="apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "expected the packages that the tests need, found some missing; install them with: sudo $hint" >&2
  exit 1
fi

# Packages start their services when installed; ours must not: tests start their own servers on their own sockets.
deny=/usr/sbin/policy-rc.d
if [ ! -e "$deny" ]; then
  trap 'rm -f "$deny"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$deny" && chmod 755 "$deny"
fi
echo "installing: ${missing[*]}"
install() {
  apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"
}
if ! DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 install; then
  echo "expected to install what the tests need, found a failure in: $hint" >&2
  exit 1
fi
