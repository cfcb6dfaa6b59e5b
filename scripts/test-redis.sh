#!/usr/bin/env bash
# The integration suite against another Redis: valkey, cluster, acl or tls (see tests/support/matrix.ts). What stands
# behind the name goes to vitest, such as the path of one test file.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -eq 0 ]; then exec npx vitest run --project integration; fi
HEADROOM_TEST_REDIS=$1
export HEADROOM_TEST_REDIS
shift
exec npx vitest run --project integration "$@"
