#!/bin/sh
# Starts the cluster of docker-compose.yml and waits until every part of it is healthy.
set -eu
cd "$(dirname "$0")/../.."
sh deploy/compose/secrets.sh

# The data of each version of PostgreSQL has a folder of its own: over that of another one a server would begin empty, beside it.
found=$(docker compose run --rm --no-deps -T --quiet-pull --entrypoint sh postgres -c '
  expected=${PGDATA%/*}
  volume=${expected%/*}
  [ ! -f "$PGDATA/PG_VERSION" ] || exit 0
  for file in "$volume"/*/docker/PG_VERSION "$volume"/data/PG_VERSION "$volume"/PG_VERSION; do
    [ ! -f "$file" ] || echo "expected data of PostgreSQL ${expected##*/} in the volume postgres, found only that of $(cat "$file")"
  done')
if [ -n "$found" ]; then
  printf '%s\n' "$found" 'to move it, see "Another version of PostgreSQL" in docs/upgrade.md; nothing was started' >&2
  exit 1
fi
exec docker compose up --build --detach --wait "$@"
