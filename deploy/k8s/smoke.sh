#!/bin/sh
# Runs a job in the cluster that kubectl talks to, and looks whether KEDA and Prometheus see it. Needs overlays/ci applied.
set -eu
kubectl="kubectl --namespace=headroom"

$kubectl exec deployment/headroom-worker -- \
  headroom run --input /app/examples/files --output /data/smoke -- sha256sum '{input}'
$kubectl exec deployment/headroom-worker -- test -s /data/smoke/letters/reply.txt.output

# The scaler reads the signal: a wrong address or path would leave it not ready.
$kubectl wait --for=condition=Ready --timeout=120s scaledobject/headroom-worker

# A worker that goes is drained first, and takes no job along.
pod=$($kubectl get pod --selector app.kubernetes.io/component=worker --output name | head -n 1)
$kubectl delete "$pod" --timeout=120s
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
