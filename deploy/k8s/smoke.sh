#!/bin/sh
# Runs jobs in the cluster that kubectl talks to, and looks whether KEDA, Prometheus, Grafana and the trace store see them.
# Needs overlays/ci applied, and KEDA and kube-prometheus-stack installed as .github/workflows/ci.yml does.
set -eu
kubectl="kubectl --namespace=headroom"

fail() {
  echo "$1" >&2
  exit 1
}
# until_ok SECONDS WHAT COMMAND...: tries again until it succeeds.
until_ok() {
  seconds=$1
  what=$2
  shift 2
  until "$@"; do
    seconds=$((seconds - 3))
    [ "$seconds" -gt 0 ] || fail "expected $what in time, found it not"
    sleep 3
  done
}
# headroom ARGUMENTS...: typed in the scheduler's pod, since workers come and go.
headroom() { $kubectl exec deployment/headroom-scheduler -- headroom "$@"; }
# says PATTERN COMMAND...: whether it prints that.
says() {
  pattern=$1
  shift
  "$@" 2>&1 | grep -qE "$pattern"
}

# make_files FOLDER COUNT SIZE: holes, which take no room and keep sha256sum busy: two seconds or more for 2 GiB.
make_files() {
  $kubectl exec deployment/headroom-worker -- sh -c \
    "mkdir -p /data/$1-in && for n in \$(seq $2); do truncate -s $3 /data/$1-in/\$n; done"
}
# start_run FOLDER: over the files made; its id is in `run`.
start_run() {
  run=$($kubectl exec deployment/headroom-worker -- \
    headroom run --input "/data/$1-in" --output "/data/$1-out" --detach --json -- sha256sum '{input}' |
    sed -n 's/.*"id": *"\([^"]*\)".*/\1/p' | head -n 1)
  [ -n "$run" ] || fail "expected the id of a run that was started, found none"
}
# succeeded RUN COUNT: waits for its end; each file has its result.
succeeded() {
  until_ok 900 "run $1 to succeed" says '"state": *"succeeded"' headroom status "$1" --json
  found=$(headroom export "$1" | grep -c '"outcome":"succeeded"' || true)
  [ "$found" -eq "$2" ] || fail "expected $2 files that succeeded, found $found"
}
# untouched RUN COUNT: the same, and each file succeeded at once, none was interrupted.
untouched() {
  succeeded "$1" "$2"
  once=$(headroom export "$1" | grep '"outcome":"succeeded"' | grep -cE '"attempts":1[,}]' || true)
  [ "$once" -eq "$2" ] || fail "expected $2 files that succeeded at once, found $once"
}

echo "== a run"
$kubectl exec deployment/headroom-worker -- \
  headroom run --input /app/examples/files --output /data/smoke -- sha256sum '{input}'
$kubectl exec deployment/headroom-worker -- test -s /data/smoke/letters/reply.txt.output

echo "== a model"
$kubectl exec deployment/headroom-worker -- \
  headroom infer --model /app/models/file-kind --input /app/examples/files --output /data/smoke-kinds
$kubectl exec deployment/headroom-worker -- test -s /data/smoke-kinds/results.jsonl

echo "== the intake takes a run through its Service, for who has the token"
token=$($kubectl exec deployment/headroom-producer -- cat /run/secrets/headroom/token/producer)
$kubectl port-forward service/headroom-producer 17401:7401 >/dev/null &
intake=$!
trap 'kill "$intake"' EXIT
until_ok 60 "the intake to answer" says 401 curl -sS -o /dev/null -w '%{http_code}' http://127.0.0.1:17401/v1/runs
body='{"command":["/usr/bin/sha256sum","{input}"],"input":"/app/examples/files","output":"/data/smoke-http"}'
run=$(curl -fsS http://127.0.0.1:17401/v1/runs -H "authorization: Bearer $token" -H 'content-type: application/json' -d "$body" |
  grep -o '"id":"[^"]*"' | head -n 1 | cut -d '"' -f 4)
kill "$intake"
trap - EXIT
untouched "$run" 12

echo "== Redis and all schedulers are killed under a run: no file is lost"
make_files killed 60 2G
start_run killed
until_ok 120 "files of run $run that have ended" says '"outcome":"succeeded"' headroom export "$run"
$kubectl delete pod headroom-redis-0 --grace-period=0 --force
$kubectl delete pod --selector app.kubernetes.io/component=scheduler --grace-period=0 --force
$kubectl rollout status statefulset/headroom-redis --timeout=180s
$kubectl wait --for=condition=Available --timeout=180s deployment --all
succeeded "$run" 60

echo "== KEDA reads the signal: a wrong address or path would leave the scaler not ready"
$kubectl wait --for=condition=Ready --timeout=120s scaledobject/headroom-worker

echo "== a worker that goes is drained: what it runs ends or is handed back, and no attempt is burned"
make_files drain 40 2G
start_run drain
pod=$($kubectl get pod --selector app.kubernetes.io/component=worker --output name | head -n 1)
until_ok 120 "jobs on $pod" says 'runs [0-9]+ jobs?' headroom explain "${pod#pod/}"
$kubectl delete "$pod" --timeout=120s
untouched "$run" 40
$kubectl wait --for=condition=Available --timeout=120s deployment/headroom-worker

echo "== a backlog brings workers, and its end takes them away without an interrupted job"
workers() { $kubectl get deployment/headroom-worker --output 'jsonpath={.status.readyReplicas}'; }
has_workers() { [ "$(workers)" = "$1" ]; }
make_files backlog 300 2G
start_run backlog
until_ok 300 "3 workers for a backlog" has_workers 3
untouched "$run" 300
# Files of several seconds, so that workers are taken away while some of them have work.
make_files last 12 8G
start_run last
until_ok 600 "1 worker without a backlog" has_workers 1
untouched "$run" 12

echo "== Prometheus scrapes every process, has the rules, and an alert sees jobs that stand still"
prometheus() {
  kubectl get --raw "/api/v1/namespaces/monitoring/services/monitoring-kube-prometheus-prometheus:9090/proxy/api/v1/$1"
}
for process in worker scheduler producer board; do
  until_ok 300 "Prometheus to scrape a $process" \
    says '"value"' prometheus "query?query=headroom_build_info%7Bprocess%3D%22$process%22%7D"
done
all_up() { ! says '"health":"down"' prometheus 'targets?state=active&scrapePool=podMonitor/headroom/headroom/0'; }
until_ok 120 "every target of ours to be up" all_up
until_ok 120 "the rules of alerts" says HeadroomStuck prometheus rules
$kubectl exec deployment/headroom-worker -- headroom limits set paused=true
make_files stuck 3 1M
start_run stuck
until_ok 300 "HeadroomStuck pending or firing" says '"alertname":"HeadroomStuck"' prometheus alerts
$kubectl exec deployment/headroom-worker -- headroom limits reset
untouched "$run" 3

echo "== Grafana has the dashboards, and the source that exemplars lead to"
password=$(kubectl --namespace=monitoring get secret monitoring-grafana --output 'jsonpath={.data.admin-password}' | base64 -d)
kubectl --namespace=monitoring port-forward service/monitoring-grafana 13000:80 >/dev/null &
forward=$!
trap 'kill "$forward"' EXIT
grafana() { curl -fsS --user "admin:$password" "http://127.0.0.1:13000/api/$1"; }
for name in overview runs nodes inference redis flows; do
  until_ok 180 "the dashboard $name in Grafana" says '"title"' grafana "dashboards/uid/headroom-$name"
done
until_ok 180 "the source of traces in Grafana" says '"type":"jaeger"' grafana datasources/uid/traces
says trace_id grafana datasources/uid/prometheus || fail "expected a link from exemplars to traces, found none"

echo "== traces arrive"
jaeger() { kubectl get --raw "/api/v1/namespaces/headroom/services/headroom-traces:16686/proxy/api/$1"; }
until_ok 120 "traces of workers" says 'headroom-worker' jaeger services
until_ok 120 "exemplars in Prometheus" \
  says '"trace_id"' prometheus 'query_exemplars?query=headroom_file_duration_seconds_bucket&start=0&end=9999999999'
echo "the cluster works"
