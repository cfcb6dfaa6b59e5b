/** Rules between rendered objects: what one names, another one is. Each gives its faults in words. */
import type { IScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject";
import type { ITriggerAuthentication } from "@kubernetes-models/keda/keda.sh/v1alpha1/TriggerAuthentication";
import type { IPodDisruptionBudget } from "kubernetes-models/policy/v1/PodDisruptionBudget";
import type { INetworkPolicy } from "kubernetes-models/networking.k8s.io/v1/NetworkPolicy";
import type { IRole } from "kubernetes-models/rbac.authorization.k8s.io/v1/Role";
import type { IRoleBinding } from "kubernetes-models/rbac.authorization.k8s.io/v1/RoleBinding";
import type { IService } from "kubernetes-models/v1/Service";
import type { IPodMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor";
import { DEFAULT_PREFIX, keyPrefix, keys } from "../../../src/contract/queues.ts";
import { SCALING_PATH } from "../../../src/contract/scaling.ts";
import type { KubernetesObject } from "../kustomize.ts";
import { workloadsOf, type Rule, type Workload } from "./workloads.ts";

export interface Selector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values?: string[];
  }[];
}

/** All objects of a kind, as the type of that kind. */
export function objectsOf<T>(objects: readonly KubernetesObject[], kind: string): (T & KubernetesObject)[] {
  return objects.filter((object) => object.kind === kind) as (T & KubernetesObject)[];
}

/** Whether labels are what a selector asks for; one that asks for nothing takes all. */
export function matches(selector: Selector | undefined, labels: Readonly<Record<string, string>>): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector ?? {};
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, values = [] }) => values.includes(labels[key] ?? ""))
  );
}

function selected(workloads: readonly Workload[], selector: Selector | undefined): Workload[] {
  return workloads.filter(({ labels }) => matches(selector, labels));
}

function portNames({ pod }: Workload): string[] {
  return pod.containers.flatMap(({ ports = [] }) => ports.flatMap(({ name }) => name ?? []));
}

/** Every workload has one budget, which lets a pod go. */
export const hasBudgets: Rule = (objects) => {
  const workloads = workloadsOf(objects);
  const budgets = objectsOf<IPodDisruptionBudget>(objects, "PodDisruptionBudget").map(({ metadata, spec }) => ({
    name: metadata.name,
    allows: Number(spec?.maxUnavailable ?? 0) >= 1 && spec?.minAvailable === undefined,
    selected: selected(workloads, spec?.selector as Selector).map(({ name }) => name),
  }));
  return [
    ...budgets.filter(({ allows }) => !allows).map(({ name }) => `${name}: lets no pod go`),
    ...budgets.filter((budget) => budget.selected.length !== 1).map(({ name }) => `${name}: is not for one workload`),
    ...workloads
      .filter(({ name }) => !budgets.some((budget) => budget.selected.includes(name)))
      .map(({ name }) => `${name}: has no budget`),
  ];
};

/** Every Service leads to pods, and to a port that they have. */
export const servicesLead: Rule = (objects) =>
  objectsOf<IService>(objects, "Service").flatMap(({ metadata, spec }) => {
    const behind = selected(workloadsOf(objects), { matchLabels: spec?.selector ?? {} });
    const ports = spec?.ports?.map(({ targetPort }) => String(targetPort)) ?? [];
    return [
      ...(behind.length === 1 ? [] : [`${metadata.name}: leads to ${behind.length} workloads`]),
      ...behind.flatMap((workload) =>
        ports.filter((port) => !portNames(workload).includes(port)).map((port) => `${metadata.name}: no port ${port}`),
      ),
    ];
  });

/** What pods name, `KIND/NAME` or `KIND/NAME/KEY`. */
export function referencesOf(objects: readonly KubernetesObject[]): Set<string> {
  const names = workloadsOf(objects).flatMap(({ pod }) => {
    const { volumes = [], serviceAccountName } = pod;
    const maps = volumes.flatMap(({ configMap, projected }) => [
      configMap?.name ?? [],
      projected?.sources?.flatMap((source) => source.configMap?.name ?? []) ?? [],
    ]);
    const secrets = volumes.flatMap(({ secret }) =>
      secret?.secretName === undefined
        ? []
        : (secret.items ?? []).map(({ key }) => `Secret/${secret.secretName ?? ""}/${key}`),
    );
    const claims = volumes.flatMap(({ persistentVolumeClaim: claim }) => claim?.claimName ?? []);
    return [
      `ServiceAccount/${serviceAccountName ?? "default"}`,
      ...maps.flat().map((name) => `ConfigMap/${name}`),
      ...secrets,
      ...claims.map((name) => `PersistentVolumeClaim/${name}`),
    ];
  });
  const authentications = objectsOf<ITriggerAuthentication>(objects, "TriggerAuthentication").flatMap(({ spec }) =>
    (spec.secretTargetRef ?? []).map(({ name, key }) => `Secret/${name}/${key}`),
  );
  const triggers = objectsOf<IScaledObject>(objects, "ScaledObject").flatMap(({ spec }) =>
    spec.triggers.flatMap(({ authenticationRef }) => authenticationRef?.name ?? []),
  );
  names.push(...authentications, ...triggers.map((name) => `TriggerAuthentication/${name}`));
  // Kubernetes puts it into every namespace.
  return new Set(names.filter((name) => name !== "ConfigMap/kube-root-ca.crt"));
}

/** What is there, in the same words. */
export function resourcesOf(objects: readonly KubernetesObject[]): Set<string> {
  return new Set(
    objects.flatMap((object) => {
      const { kind, metadata } = object;
      const name = `${kind}/${metadata.name}`;
      const { data = {} } = object as { data?: Readonly<Record<string, string>> };
      return kind === "Secret" ? Object.keys(data).map((key) => `${name}/${key}`) : [name];
    }),
  );
}

/** Where there are policies, one denies all, and each other is about ports that the pods have. */
export const policiesHold: Rule = (objects) => {
  const workloads = workloadsOf(objects);
  const policies = objectsOf<INetworkPolicy>(objects, "NetworkPolicy");
  if (policies.length === 0) return [];
  const deniesAll = policies.some(
    ({ spec }) =>
      Object.keys(spec?.podSelector ?? { none: true }).length === 0 &&
      spec?.policyTypes?.length === 2 &&
      spec.ingress === undefined &&
      spec.egress === undefined,
  );
  const dead = policies.flatMap(({ metadata, spec }) => {
    const peers = [...(spec?.ingress ?? []), ...(spec?.egress ?? [])];
    const named = peers.flatMap(({ ports = [] }) =>
      ports.map(({ port }) => port).filter((port) => typeof port === "string"),
    );
    const known = workloads.flatMap(portNames);
    return named
      .filter((port) => !known.includes(port) && !["redis", "postgres"].includes(port))
      .map((port) => `${metadata.name}: no port ${port}`);
  });
  return [...(deniesAll ? [] : ["no policy denies what the others do not name"]), ...dead];
};

/** The one thing that anybody may do with the API server: a worker may patch pods of the namespace. */
export const rightsAreLeast: Rule = (objects) => {
  const wide = objects
    .filter(({ kind }) => kind.startsWith("Cluster"))
    .map(({ kind, metadata }) => `${kind} ${metadata.name}`);
  const rules = objectsOf<IRole>(objects, "Role").flatMap(({ rules: own }) => own ?? []);
  const bound = objectsOf<IRoleBinding>(objects, "RoleBinding").flatMap(({ subjects = [] }) => subjects);
  const expected = JSON.stringify([{ apiGroups: [""], resources: ["pods"], verbs: ["patch"] }]);
  const isLeast = JSON.stringify(rules) === expected;
  const isWorkers = bound.every(
    ({ kind, name, namespace }) => `${kind}/${namespace ?? ""}/${name}` === "ServiceAccount/headroom/headroom-worker",
  );
  return [
    ...wide,
    ...(isLeast ? [] : [`rules ${JSON.stringify(rules)}`]),
    ...(isWorkers ? [] : ["rights of others than the worker"]),
  ];
};

/** What is scraped is every process of ours, and nothing else. */
export const monitorFinds: Rule = (objects) => {
  const ours = workloadsOf(objects).filter((workload) => portNames(workload).includes("ops"));
  return objectsOf<IPodMonitor>(objects, "PodMonitor").flatMap(({ metadata, spec }) => {
    const found = selected(workloadsOf(objects), spec.selector as Selector).map(({ name }) => name);
    const ports = spec.podMetricsEndpoints?.map(({ port, path }) => `${port ?? ""}${path ?? ""}`);
    const isAll = JSON.stringify(found) === JSON.stringify(ours.map(({ name }) => name));
    return isAll && String(ports) === "ops/metrics"
      ? []
      : [`${metadata.name}: finds ${found.join()} at ${String(ports)}`];
  });
};

const WANTED = keys.workersWanted(keyPrefix(DEFAULT_PREFIX));

/** What is scaled is there and has no number of its own; the signal is asked of a Service and a port that are there. */
export const scalersLead: Rule = (objects) =>
  objectsOf<IScaledObject>(objects, "ScaledObject").flatMap(({ metadata, spec }) => {
    const target = workloadsOf(objects).find(({ name }) => name === spec.scaleTargetRef.name);
    const services = objectsOf<IService>(objects, "Service").flatMap((service) =>
      (service.spec?.ports ?? []).map(({ port }) => `${service.metadata.name}.headroom.svc:${port}`),
    );
    const byRedis = spec.triggers.filter(({ type }) => type === "redis");
    const urls = spec.triggers
      .filter((trigger) => !byRedis.includes(trigger))
      .map((trigger) => new URL(String(trigger.metadata["url"])));
    return [
      ...(target === undefined ? [`${metadata.name}: scales nothing`] : []),
      ...(target?.replicas === undefined ? [] : [`${metadata.name}: its target has ${target.replicas} replicas`]),
      ...urls.filter(({ host }) => !services.includes(host)).map(({ host }) => `${metadata.name}: asks ${host}`),
      ...urls
        .filter(({ pathname }) => pathname !== SCALING_PATH)
        .map((url) => `${metadata.name}: asks ${url.pathname}`),
      ...byRedis
        .filter(({ metadata: { address } }) => !services.includes(String(address)))
        .map((trigger) => `${metadata.name}: asks ${String(trigger.metadata["address"])}`),
      ...byRedis
        .filter(({ metadata: { listName } }) => !String(listName).startsWith(WANTED))
        .map((trigger) => `${metadata.name}: counts ${String(trigger.metadata["listName"])}`),
    ];
  });

/** A pool asks for the jobs of its own labels, the only one too: the signal without any counts jobs that it cannot run. */
export const poolsAskApart: Rule = (objects) =>
  objectsOf<IScaledObject>(objects, "ScaledObject").flatMap(({ metadata, spec }) => {
    const target = workloadsOf(objects).find(({ name }) => name === spec.scaleTargetRef.name);
    const args = target?.pod.containers[0]?.args ?? [];
    const own = args.filter((_, at) => args[at - 1] === "--label").join();
    return spec.triggers
      .map(labelsAsked)
      .filter((asked) => asked !== own)
      .map((asked) => `${metadata.name}: asks for ${asked ?? "all jobs"}, its workers have the labels "${own}"`);
  });

/** The labels that a trigger asks for, between commas; nothing where it asks for the jobs of all. */
function labelsAsked({ type, metadata: { url, listName } }: IScaledObject["spec"]["triggers"][number]) {
  if (type !== "redis") return new URL(String(url)).searchParams.get("labels");
  return String(listName).startsWith(`${WANTED}:`) ? String(listName).slice(WANTED.length + 1) : null;
}

/** While the signal cannot be read nobody ends: KEDA keeps the workers that are there; one with 0 replicas it may empty. */
export const outagesKeepWorkers: Rule = (objects) =>
  objectsOf<IScaledObject>(objects, "ScaledObject").flatMap(({ metadata, spec }) => {
    const { replicas = 0, behavior } = (spec.fallback ?? {}) as { replicas?: number; behavior?: string };
    const isKept = behavior === "currentReplicasIfHigher" && replicas > 0;
    return isKept ? [] : [`${metadata.name}: an outage leaves ${replicas} workers (${behavior ?? "static"})`];
  });

/** Where there is a trace store every process of ours sends to it, and to a port of its Service; where there is none, nobody sends. */
export const tellsTraces: Rule = (objects) => {
  const services = objectsOf<IService>(objects, "Service").filter(
    ({ metadata }) => metadata.name === "headroom-traces",
  );
  const open = services.flatMap(({ spec }) =>
    (spec?.ports ?? [])
      .filter(({ targetPort }) => targetPort === "otlp")
      .map(({ port }) => `http://headroom-traces.headroom.svc:${port}`),
  );
  return workloadsOf(objects)
    .filter((workload) => portNames(workload).includes("ops"))
    .map(({ name, pod }) => ({
      name,
      told: pod.containers[0]?.env?.find((variable) => variable.name === "OTEL_EXPORTER_OTLP_ENDPOINT")?.value,
    }))
    .filter(({ told }) => told !== open[0])
    .map(({ name, told }) => `${name}: sends traces to ${told ?? "nobody"}, not to ${open[0] ?? "nobody"}`);
};

/** All of ours is in one namespace. */
export const staysInNamespace: Rule = (objects) =>
  objects
    .filter(({ kind }) => !["Namespace", "RuntimeClass"].includes(kind))
    .filter(({ metadata }) => metadata.namespace !== "headroom")
    .map(({ kind, metadata }) => `${kind} ${metadata.name} is in ${metadata.namespace ?? "no namespace"}`);
