#!/bin/sh
# Starts the cluster of docker-compose.yml and waits until every part of it is healthy.
set -eu
cd "$(dirname "$0")/../.."
sh deploy/compose/secrets.sh
exec docker compose up --build --detach --wait "$@"
