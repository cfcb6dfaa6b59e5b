import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { fileVariableOf, secretVariables } from "../../../src/cli/secret-files.ts";
import { connectionsHold } from "../../support/kubernetes/connections.ts";
import {
  hasBudgets,
  monitorFinds,
  outagesKeepWorkers,
  policiesHold,
  poolsAskApart,
  referencesOf,
  resourcesOf,
  rightsAreLeast,
  scalersLead,
  servicesLead,
  staysInNamespace,
  tellsTraces,
} from "../../support/kubernetes/links.ts";
import * as workloads from "../../support/kubernetes/workloads.ts";
import { kustomizations, renderKustomization, type KubernetesObject } from "../../support/kustomize.ts";

const { workloadsOf, ...workloadRules } = workloads;
const rules: Readonly<Record<string, workloads.Rule>> = {
  ...workloadRules,
  ...{
    connectionsHold,
    hasBudgets,
    monitorFinds,
    outagesKeepWorkers,
    policiesHold,
    poolsAskApart,
    rightsAreLeast,
    scalersLead,
    servicesLead,
    staysInNamespace,
    tellsTraces,
  },
};

const rendered = new Map<string, KubernetesObject[]>();
beforeAll(async () => {
  for (const path of kustomizations) rendered.set(path, await renderKustomization(path));
}, 300_000);

const objectsOf = (path: string): KubernetesObject[] => rendered.get(path) ?? [];

/** The secrets that somebody else makes, as docs/deploy-kubernetes.md tells them: `Secret/NAME/KEY`. */
function secretsOfDocs(): string[] {
  const page = readFileSync(join(import.meta.dirname, "../../../docs/deploy-kubernetes.md"), "utf8");
  return [...page.matchAll(/^ *\| `(headroom-[a-z]+)` +\| `([a-z.]+)`/gm)].map(
    ([, name = "", key = ""]) => `Secret/${name}/${key}`,
  );
}

describe.each(kustomizations)("%s", (path) => {
  test.each(Object.keys(rules))("%s", (name) => {
    expect(rules[name]?.(objectsOf(path))).toEqual([]);
  });

  test("names configuration, secrets, claims and accounts that are there or told to be made", () => {
    const there = new Set([...resourcesOf(objectsOf(path)), ...secretsOfDocs()]);
    const missing = [...referencesOf(objectsOf(path))].filter((name) => !there.has(name));
    expect(missing).toEqual([]);
  });
});

test("deploy/k8s/overlays/dev makes every secret itself", () => {
  const there = resourcesOf(objectsOf("deploy/k8s/overlays/dev"));
  expect([...referencesOf(objectsOf("deploy/k8s/overlays/dev"))].filter((name) => !there.has(name))).toEqual([]);
});

/** A change to manifests, those of gpu unless others are named, and the rule that must see it. */
const mistakes: readonly [string, string, (text: string) => string, string?][] = [
  ["hasLimits", "a limit is missing", (text) => text.replaceAll('"ephemeral-storage":"12Gi"', '"x":"1"')],
  [
    "keepsMemory",
    "a worker's memory is lent out twice",
    (text) =>
      text.replaceAll(
        '"requests":{"cpu":"2","ephemeral-storage":"2Gi","memory":"4Gi"}',
        '"requests":{"cpu":"2","ephemeral-storage":"2Gi","memory":"1Gi"}',
      ),
  ],
  [
    "drainsInTime",
    "a worker is killed while it drains",
    (text) => text.replaceAll('"terminationGracePeriodSeconds":90', '"terminationGracePeriodSeconds":60'),
  ],
  [
    "drainsInTime",
    "the time to drain was raised and the grace period was not",
    (text) => text.replaceAll("drain_seconds: 60", "drain_seconds: 120"),
  ],
  [
    "connectionsHold",
    "a pool is cut from the stores",
    (text) =>
      text.replaceAll(
        '["worker","worker-gpu","scheduler","producer","board"]',
        '["worker","scheduler","producer","board"]',
      ),
  ],
  [
    "connectionsHold",
    "KEDA asks another pod than it may",
    (text) => text.replaceAll('"kubernetes.io/metadata.name":"keda"', '"kubernetes.io/metadata.name":"kedas"'),
    "tests/fixtures/k8s/by-redis",
  ],
  [
    "connectionsHold",
    "a port has the name of another pod's",
    (text) => text.replaceAll('"port":"http","protocol"', '"port":"redis","protocol"'),
    "deploy/k8s/overlays/ci",
  ],
  ["connectionsHold", "pods get out to anywhere", (text) => text.replaceAll('"port":6443,', '"port":443,')],
  ["hasProbes", "a probe is misspelt", (text) => text.replaceAll("readinessProbe", "readynessProbe")],
  ["pinsImages", "an image floats", (text) => text.replaceAll(/headroom:\d+\.\d+\.\d+/g, "headroom:latest")],
  [
    "isRestricted",
    "privileges can grow",
    (text) => text.replaceAll('"allowPrivilegeEscalation":false', '"allowPrivilegeEscalation":true'),
  ],
  ["isRestricted", "a pod may be root", (text) => text.replaceAll('"runAsUser":10001', '"runAsUser":0')],
  [
    "isAlone",
    "variables of services are set",
    (text) => text.replaceAll('"enableServiceLinks":false', '"enableServiceLinks":true'),
  ],
  ["hasBoundedScratch", "scratch has no limit", (text) => text.replaceAll('"sizeLimit":"8Gi"', '"medium":""')],
  [
    "mountsVolumes",
    "a mount has no volume",
    (text) => text.replaceAll('"mountPath":"/data","name":"data"', '"mountPath":"/data","name":"date"'),
  ],
  [
    "seesFiles",
    "nobody could remove what is kept too long",
    (text) => text.replaceAll('"mountPath":"/data","name":"data"', '"mountPath":"/data","name":"data","readOnly":true'),
  ],
  ["spreads", "pods are on one node", (text) => text.replaceAll("topologySpreadConstraints", "spread")],
  [
    "probesOwnPorts",
    "a probe asks another port",
    (text) => text.replaceAll('"path":"/livez","port":"ops"', '"path":"/livez","port":"op"'),
  ],
  ["ownsOneCard", "a worker shares a card", (text) => text.replaceAll('"nvidia.com/gpu":"1"', '"nvidia.com/gpu":"2"')],
  [
    "hasBudgets",
    "a budget lets nothing go",
    (text) => text.replaceAll('"maxUnavailable":1,"selector"', '"maxUnavailable":0,"selector"'),
  ],
  [
    "servicesLead",
    "a service leads nowhere",
    (text) =>
      text.replaceAll(
        '"selector":{"app.kubernetes.io/component":"board"',
        '"selector":{"app.kubernetes.io/component":"bored"',
      ),
  ],
  [
    "policiesHold",
    "a policy names no port of ours",
    (text) => text.replaceAll('"port":"http","protocol"', '"port":"htp","protocol"'),
  ],
  [
    "rightsAreLeast",
    "a worker may do more",
    (text) => text.replaceAll('"verbs":["patch"]', '"verbs":["patch","delete"]'),
  ],
  [
    "monitorFinds",
    "a process is not scraped",
    (text) => text.replaceAll('"worker","worker-gpu","scheduler","producer","board"', '"worker"'),
  ],
  [
    "poolsAskApart",
    "a pool grows for the jobs of another",
    (text) => text.replaceAll('/v1/scaling?labels="', '/v1/scaling"'),
  ],
  [
    "poolsAskApart",
    "the only pool grows for jobs that it cannot run",
    (text) => text.replaceAll('/v1/scaling?labels="', '/v1/scaling"'),
    "deploy/k8s/overlays/prod",
  ],
  [
    "poolsAskApart",
    "a pool counts the list of all",
    (text) => text.replaceAll(':workers-wanted:"', ':workers-wanted"'),
    "tests/fixtures/k8s/by-redis",
  ],
  [
    "outagesKeepWorkers",
    "an outage ends busy workers",
    (text) => text.replaceAll('"behavior":"currentReplicasIfHigher",', ""),
    "deploy/k8s/overlays/prod",
  ],
  [
    "outagesKeepWorkers",
    "an outage may end every card",
    (text) =>
      text.replaceAll(
        '"currentReplicasIfHigher","failureThreshold":4,"replicas":1',
        '"currentReplicasIfHigher","failureThreshold":4,"replicas":0',
      ),
  ],
  ["scalersLead", "another port is asked", (text) => text.replaceAll("svc:9100/v1", "svc:9101/v1")],
  [
    "staysInNamespace",
    "an object is elsewhere",
    (text) => text.replaceAll('"namespace":"headroom"', '"namespace":"default"'),
  ],
  [
    "tellsTraces",
    "spans go to another port",
    (text) => text.replaceAll("svc:4318", "svc:4317"),
    "tests/fixtures/k8s/everything",
  ],
];

describe("the rules", () => {
  test.each(mistakes)("%s: sees that %s", (name, _what, change, path = "deploy/k8s/overlays/gpu") => {
    const before = JSON.stringify(objectsOf(path));
    const after = change(before);
    expect(after).not.toBe(before);
    expect(rules[name]?.(JSON.parse(after) as KubernetesObject[])).not.toEqual([]);
  });

  test("each has a mistake that it sees", () => {
    expect(Object.keys(rules).toSorted()).toEqual([...new Set(mistakes.map(([name]) => name))].toSorted());
  });

  test("names of variables that hold secrets are those of files", () => {
    const text = JSON.stringify(workloadsOf(objectsOf("deploy/k8s/overlays/prod")));
    for (const variable of secretVariables) {
      expect(text).toContain(`"${fileVariableOf(variable)}"`);
      expect(text).not.toContain(`"${variable}"`);
    }
  });
});
