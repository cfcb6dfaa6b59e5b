#!/bin/sh
# Runs a job in the cluster that kubectl talks to, and looks whether KEDA and Prometheus see it. Needs overlays/ci applied.
set -eu
kubectl="kubectl --namespace=headroom"

$kubectl exec deployment/headroom-worker -- \
  headroom run --input /app/examples/files --output /data/smoke -- sha256sum '{input}'
$kubectl exec deployment/headroom-worker -- test -s /data/smoke/letters/reply.txt.output

# The scaler reads the signal: a wrong address or path would leave it not ready.
$kubectl wait --for=condition=Ready --timeout=120s scaledobject/headroom-worker

# A worker that goes is drained first: what it runs ends or is handed back, and no attempt is burned. The files are holes of
# 2 GiB, which take no room and keep sha256sum busy for seconds.
files=40
$kubectl exec deployment/headroom-worker -- sh -c \
  "mkdir -p /data/drain-in && for n in \$(seq $files); do truncate -s 2G /data/drain-in/\$n; done"
run=$($kubectl exec deployment/headroom-worker -- \
  headroom run --input /data/drain-in --output /data/drain-out --detach --json -- sha256sum '{input}' |
  sed -n 's/.*"id": *"\([^"]*\)".*/\1/p' | head -n 1)
[ -n "$run" ] || { echo "expected the id of a run that was started, found none" >&2; exit 1; }

# has PATTERN COMMAND...: whether headroom says so, asked in the scheduler's pod, since workers come and go.
has() {
  pattern=$1
  shift
  $kubectl exec deployment/headroom-scheduler -- headroom "$@" | grep -qE "$pattern"
}
# until_has SECONDS PATTERN COMMAND...
until_has() {
  seconds=$1
  shift
  until has "$@"; do
    seconds=$((seconds - 2))
    [ "$seconds" -gt 0 ] || { echo "expected $1 from headroom in time, found it not" >&2; exit 1; }
    sleep 2
  done
}
pod=$($kubectl get pod --selector app.kubernetes.io/component=worker --output name | head -n 1)
until_has 120 'runs [0-9]+ jobs?' explain "${pod#pod/}"
$kubectl delete "$pod" --timeout=120s
until_has 600 '"state": *"succeeded"' status "$run" --json
once=$($kubectl exec deployment/headroom-scheduler -- headroom export "$run" |
  grep '"outcome":"succeeded"' | grep -cE '"attempts":1[,}]' || true)
[ "$once" -eq "$files" ] || { echo "expected $files files that succeeded at once, found $once" >&2; exit 1; }
$kubectl wait --for=condition=Available --timeout=120s deployment/headroom-worker

# Prometheus scrapes all processes, and has the rules.
query() {
  kubectl get --raw "/api/v1/namespaces/monitoring/services/monitoring-kube-prometheus-prometheus:9090/proxy/api/v1/$1"
}
tries=0
until query 'query?query=count(headroom_build_info)%3E%3D4' | grep -q '"value"'; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || { echo "expected Prometheus to scrape every process within 5 minutes, found it does not" >&2; exit 1; }
  sleep 5
done
query rules | grep -q HeadroomStuck
echo "the cluster works"
