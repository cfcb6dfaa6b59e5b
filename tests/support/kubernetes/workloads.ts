/** Rules that every workload of rendered manifests is held to. Each gives its faults in words. */
import type { IStatefulSet } from "kubernetes-models/apps/v1/StatefulSet";
import type { IContainer } from "kubernetes-models/v1/Container";
import type { IPodSpec } from "kubernetes-models/v1/PodSpec";
import { parse } from "yaml";
import { CLOSE_MS } from "../../../src/cli/services.ts";
import { parseConfig } from "../../../src/contract/config-faults.ts";
import type { KubernetesObject } from "../kustomize.ts";

export interface Workload {
  readonly name: string;
  readonly kind: "Deployment" | "StatefulSet";
  readonly replicas: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly pod: IPodSpec;
  /** The names of the volumes that each pod claims for itself. */
  readonly claims: readonly string[];
}

export type Rule = (objects: readonly KubernetesObject[]) => string[];

export function workloadsOf(objects: readonly KubernetesObject[]): Workload[] {
  return objects.flatMap((object) => {
    const { kind } = object;
    if (kind !== "Deployment" && kind !== "StatefulSet") return [];
    // A Deployment has all of it but the claims.
    const { metadata, spec } = object as unknown as IStatefulSet;
    if (metadata?.name === undefined || spec?.template.spec === undefined) return [];
    const claims = spec.volumeClaimTemplates?.flatMap((claim) => claim.metadata?.name ?? []) ?? [];
    const labels = spec.template.metadata?.labels ?? {};
    return [{ name: metadata.name, kind, replicas: spec.replicas, labels, pod: spec.template.spec, claims }];
  });
}

/** A rule over each container of each workload. */
function eachContainer(check: (container: IContainer, workload: Workload) => string[]): Rule {
  return (objects) =>
    workloadsOf(objects).flatMap((workload) =>
      [...workload.pod.containers, ...(workload.pod.initContainers ?? [])].flatMap((container) =>
        check(container, workload).map((fault) => `${workload.name}: ${fault}`),
      ),
    );
}

function eachPod(check: (pod: IPodSpec, workload: Workload) => string[]): Rule {
  return (objects) =>
    workloadsOf(objects).flatMap((workload) =>
      check(workload.pod, workload).map((fault) => `${workload.name}: ${fault}`),
    );
}

const unless = (isRight: boolean, fault: string): string[] => (isRight ? [] : [fault]);

/** Every container says what it needs and what it may take, of each resource that runs out. */
export const hasLimits = eachContainer(({ resources = {} }) =>
  ["cpu", "memory", "ephemeral-storage"].flatMap((name) => [
    ...unless(resources.requests?.[name] !== undefined, `no request of ${name}`),
    ...unless(resources.limits?.[name] !== undefined, `no limit of ${name}`),
  ]),
);

/** Memory is not lent out twice: a worker sees its limit as what it has, and would fill it. */
export const keepsMemory = eachContainer(({ resources = {} }, { labels }) => {
  const isWorker = (labels["app.kubernetes.io/component"] ?? "").startsWith("worker");
  const isSame = resources.requests?.["memory"] === resources.limits?.["memory"];
  return unless(!isWorker || isSame, "a worker's request of memory is not its limit");
});

export const hasProbes = eachContainer(({ startupProbe, livenessProbe, readinessProbe }) =>
  Object.entries({ startupProbe, livenessProbe, readinessProbe }).flatMap(([name, probe]) =>
    unless(probe !== undefined, `no ${name}`),
  ),
);

/** A pod that ends has longer than its process drains, closes, and listens on before that. */
export const drainsInTime: Rule = (objects) =>
  workloadsOf(objects)
    .filter(({ pod }) => pod.containers[0]?.ports?.some(({ name }) => name === "ops"))
    .flatMap(({ name, pod }) => {
      const drainSeconds = drainSecondsOf(objects, pod);
      const sleepSeconds = pod.containers[0]?.lifecycle?.preStop?.sleep?.seconds ?? 0;
      const needed = drainSeconds + CLOSE_MS / 1_000 + sleepSeconds;
      const { terminationGracePeriodSeconds: grace = 30 } = pod;
      return unless(grace > needed, `${name}: is killed after ${grace} s, and drains and closes for ${needed} s`);
    });

/** What the process reads: its variable, or else the file of the configuration that it mounts. */
function drainSecondsOf(objects: readonly KubernetesObject[], { containers, volumes = [] }: IPodSpec): number {
  const variable = containers[0]?.env?.find(({ name }) => name === "HEADROOM_WORKER_DRAIN_SECONDS")?.value;
  if (variable !== undefined) return Number(variable);
  const mounted = volumes.map(({ configMap }) => configMap?.name);
  const map = objects.find(({ kind, metadata }) => kind === "ConfigMap" && mounted.includes(metadata.name));
  const { data = {} } = (map ?? {}) as { data?: Readonly<Record<string, string>> };
  const config = parseConfig(parse(data["headroom.yaml"] ?? ""));
  if (config.kind !== "valid") throw new TypeError("expected a valid configuration");
  return config.config.worker.drain_seconds;
}

/** An image by digest, or by the exact version of ours, which the overlay's user pins. */
export const pinsImages = eachContainer(({ image = "" }) =>
  unless(
    /^[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}$/.test(image) ||
      /^(?:registry\.example\/)?headroom(?:-cuda)?:(?:\d+\.\d+\.\d+|dev)$/.test(image),
    `image ${image}`,
  ),
);

/** The restricted profile of the pod security standards, and a root that cannot be written. */
export const isRestricted: Rule = (objects) => [
  ...eachContainer(({ securityContext: own = {} }) => [
    ...unless(own.allowPrivilegeEscalation === false, "may escalate privileges"),
    ...unless(own.readOnlyRootFilesystem === true, "root can be written"),
    ...unless(own.capabilities?.drop?.includes("ALL") === true, "keeps capabilities"),
    ...unless(own.capabilities?.add === undefined && own.privileged !== true, "adds privileges"),
  ])(objects),
  ...eachPod(({ securityContext: own = {}, hostNetwork, hostPID, hostIPC, volumes = [] }) => [
    ...unless(own.runAsNonRoot === true && (own.runAsUser ?? 0) > 0 && (own.runAsGroup ?? 0) > 0, "may be root"),
    ...unless(own.seccompProfile?.type === "RuntimeDefault", "no seccomp profile"),
    ...unless(hostNetwork !== true && hostPID !== true && hostIPC !== true, "sees its host"),
    ...unless(!volumes.some(({ hostPath }) => hostPath !== undefined), "mounts a path of its host"),
  ])(objects),
];

/** No token of the API server that nobody asked for, and no variables that are named like our settings. */
export const isAlone = eachPod(({ automountServiceAccountToken, enableServiceLinks }) => [
  ...unless(automountServiceAccountToken === false, "mounts a token of the API server"),
  ...unless(enableServiceLinks === false, "gets variables of services, which look like settings"),
]);

export const hasBoundedScratch = eachPod(({ volumes = [] }) =>
  volumes.flatMap(({ name, emptyDir }) =>
    unless(emptyDir === undefined || emptyDir.sizeLimit !== undefined, `scratch ${name} has no limit`),
  ),
);

/** Each mount has a volume, each volume a mount. */
export const mountsVolumes = eachPod(({ volumes = [], containers }, { claims }) => {
  const there = [...volumes.map(({ name }) => name), ...claims];
  const mounted = containers.flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name));
  return [
    ...mounted.filter((name) => !there.includes(name)).map((name) => `no volume ${name}`),
    ...there.filter((name) => !mounted.includes(name)).map((name) => `volume ${name} is not mounted`),
  ];
});

/**
 * Every process of ours sees the files of runs under one path. Workers make them and the scheduler that leads removes those of
 * ended runs (`retention`); the others only read.
 */
export const seesFiles = eachPod(({ containers, volumes = [] }, { labels }) => {
  const [own] = containers;
  const component = labels["app.kubernetes.io/component"] ?? "";
  if (own?.ports?.some(({ name }) => name === "ops") !== true) return [];
  const mount = own.volumeMounts?.find(({ mountPath }) => mountPath === "/data");
  const claim = volumes.find(({ name }) => name === mount?.name)?.persistentVolumeClaim?.claimName;
  const isWriter = component.startsWith("worker") || component === "scheduler";
  return [
    ...unless(claim === "headroom-data", "does not see the files of runs at /data"),
    ...unless((mount?.readOnly !== true) === isWriter, `${isWriter ? "cannot" : "could"} write files of runs`),
  ];
});

/** Pods of a workload that has several are not all on one node. */
export const spreads: Rule = (objects) =>
  workloadsOf(objects)
    .filter(({ kind }) => kind === "Deployment")
    .filter(({ pod }) => (pod.topologySpreadConstraints ?? []).length < 2)
    .map(({ name }) => `${name}: is not spread over nodes and zones`);

/** A probe asks a port that the container has. */
export const probesOwnPorts = eachContainer(({ ports = [], startupProbe, livenessProbe, readinessProbe }) =>
  [startupProbe, livenessProbe, readinessProbe].flatMap((probe) => {
    const port = probe?.httpGet?.port ?? probe?.tcpSocket?.port;
    return unless(port === undefined || ports.some(({ name }) => name === port), `a probe asks port ${port ?? ""}`);
  }),
);

/** A worker on a card has one, alone, on a node that is kept for such. */
export const ownsOneCard: Rule = (objects) =>
  workloadsOf(objects).flatMap(({ name, pod }) => {
    const [container] = pod.containers;
    const cards = container?.resources?.limits?.["nvidia.com/gpu"];
    const isGpu = container?.args?.includes("gpu") === true;
    if (cards === undefined && !isGpu) return [];
    const isTolerated = pod.tolerations?.some(({ key, effect }) => key === "nvidia.com/gpu" && effect === "NoSchedule");
    return [
      ...unless(String(cards) === "1" && isGpu, `${name}: does not have one card and the label gpu`),
      ...unless(isTolerated === true, `${name}: does not tolerate the taint of nodes with cards`),
      ...unless(pod.runtimeClassName === "nvidia", `${name}: has not the runtime class nvidia`),
    ];
  });
