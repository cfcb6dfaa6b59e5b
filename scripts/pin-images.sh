#!/usr/bin/env bash
# Compares each image that is pinned by digest with what its registry has under the same tag now. Needs docker with buildx
# and a network. Prints one line for each; exits 1 when a digest no longer is what its tag stands for.
#   scripts/pin-images.sh            tells
#   scripts/pin-images.sh --write    puts the new digests in
set -euo pipefail
cd "$(dirname "$0")/.."

files=(Dockerfile docker-compose.yml .github/workflows/ci.yml deploy/k8s/components/{redis/redis,postgres/postgres,traces/jaeger}.yaml)
status=0
while read -r pin; do
  name=${pin%@*}
  pinned=${pin#*@}
  current=$(docker buildx imagetools inspect "$name" --format '{{.Manifest.Digest}}')
  if [ "$pinned" = "$current" ]; then
    echo "same     $name"
  elif [ "${1-}" = --write ]; then
    sed -i "s|$pin|$name@$current|g" "${files[@]}"
    echo "written  $name $current"
  else
    echo "differs  $name $pinned, now $current"
    status=1
  fi
done < <(grep -hoE '[a-z0-9./-]+:[A-Za-z0-9._-]+@sha256:[0-9a-f]{64}' "${files[@]}" | sort -u)
exit $status
