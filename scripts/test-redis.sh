#!/usr/bin/env bash
# The integration suite against another Redis: valkey, cluster, acl or tls (see tests/support/matrix.ts), or, with `faults`
# behind the name, the tests of faults (not tls). What stands behind goes to vitest, such as the path of one test file.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -eq 0 ]; then exec npx vitest run --project integration; fi
HEADROOM_TEST_REDIS=$1
export HEADROOM_TEST_REDIS
shift
if [ "${1:-}" = faults ]; then
  shift
  [ $# -gt 0 ] || set -- tests/e2e/faults tests/e2e/laws
  exec npx vitest run --project e2e "$@"
fi
exec npx vitest run --project integration "$@"
