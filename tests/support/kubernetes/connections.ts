/** Who must reach whom, and who must not, by the policies of the network in rendered manifests. */
import type { IScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject";
import type { INetworkPolicy } from "kubernetes-models/networking.k8s.io/v1/NetworkPolicy";
import type { KubernetesObject } from "../kustomize.ts";
import { matches, objectsOf, type Selector } from "./links.ts";
import { workloadsOf, type Rule } from "./workloads.ts";

type Labels = Readonly<Record<string, string>>;
type Policy = INetworkPolicy & KubernetesObject;
type Peers = NonNullable<NonNullable<NonNullable<INetworkPolicy["spec"]>["egress"]>[number]["to"]>;
type Ports = NonNullable<NonNullable<NonNullable<INetworkPolicy["spec"]>["egress"]>[number]["ports"]>;

/** A pod, or with no namespace an address outside of the cluster. */
interface End {
  readonly name: string;
  readonly namespace: Labels | undefined;
  readonly labels: Labels;
  /** Numbers by name. */
  readonly ports: Readonly<Record<string, number>>;
}

interface Connection {
  readonly from: End;
  readonly to: End;
  /** A name of `to`. */
  readonly port: string;
}

const HEADROOM = { "kubernetes.io/metadata.name": "headroom" };
const elsewhere = (name: string, namespace: Labels, labels: Labels = {}, ports = {}): End => ({
  ...{ name, namespace, labels, ports },
});
const outside = (name: string, ports: Readonly<Record<string, number>>): End => ({
  ...{ name, namespace: undefined, labels: {}, ports },
});
const monitoring = elsewhere("monitoring", { "kubernetes.io/metadata.name": "monitoring" });
const keda = elsewhere("KEDA", { "kubernetes.io/metadata.name": "keda" });
const client = elsewhere("a client", { "headroom.example/client": "true" });
const stranger = elsewhere("a stranger", { "kubernetes.io/metadata.name": "default" });
const dns = elsewhere("DNS", { "kubernetes.io/metadata.name": "kube-system" }, { "k8s-app": "kube-dns" }, { dns: 53 });
const apiServer = outside("the API server", { api: 6443 });
const internet = outside("the internet", { https: 443 });

function podsOf(objects: readonly KubernetesObject[]): End[] {
  return workloadsOf(objects).map(({ name, labels, pod }) => {
    const ports = pod.containers.flatMap((container) => container.ports ?? []);
    const numbers = Object.fromEntries(ports.map(({ name: port = "", containerPort }) => [port, containerPort]));
    return { name, namespace: HEADROOM, labels, ports: numbers };
  });
}

/** What a cluster needs to work, be seen and be scaled. */
function neededIn(objects: readonly KubernetesObject[]): Connection[] {
  const pods = podsOf(objects);
  const find = (name: string) => pods.find((pod) => pod.name === `headroom-${name}`);
  const ours = pods.filter(({ ports }) => "ops" in ports);
  const redis = find("redis") ?? outside("Redis", { redis: 6379 });
  const postgres = find("postgres") ?? outside("PostgreSQL", { postgres: 5432 });
  const traces = find("traces");
  const scalers = objectsOf<IScaledObject>(objects, "ScaledObject").flatMap(({ spec }) => spec.triggers);
  const asked = scalers.flatMap(({ type }) => {
    const to = type === "redis" ? redis : find("scheduler");
    return to === undefined ? [] : [{ from: keda, to, port: type === "redis" ? "redis" : "ops" }];
  });
  return [
    ...ours.flatMap((from) => [
      { from, to: redis, port: "redis" },
      { from, to: postgres, port: "postgres" },
      { from, to: dns, port: "dns" },
      { from: monitoring, to: from, port: "ops" },
      ...(traces === undefined ? [] : [{ from, to: traces, port: "otlp" }]),
    ]),
    ...ours
      .filter(({ name }) => name.startsWith("headroom-worker"))
      .map((from) => ({ from, to: apiServer, port: "api" })),
    ...pods.filter(({ ports }) => "http" in ports).map((to) => ({ from: client, to, port: "http" })),
    ...(traces === undefined ? [] : [{ from: monitoring, to: traces, port: "ui" }]),
    ...asked,
  ];
}

/** What no one has a reason for. */
function refusedIn(objects: readonly KubernetesObject[]): Connection[] {
  const pods = podsOf(objects);
  return [
    ...pods.flatMap((to) => [stranger, client].flatMap((from) => linksOf(from, to))),
    ...pods.map((from) => ({ from, to: internet, port: "https" })),
  ].filter(({ from, port }) => from !== client || port !== "http");
}

function linksOf(from: End, to: End): Connection[] {
  return Object.keys(to.ports).map((port) => ({ from, to, port }));
}

/** Where there are policies, what must get through does, both out of where it begins and into where it ends; no other does. */
export const connectionsHold: Rule = (objects) => {
  const policies = objectsOf<INetworkPolicy>(objects, "NetworkPolicy");
  if (policies.length === 0) return [];
  const passes = (link: Connection) => mayLeave(policies, link) && mayEnter(policies, link);
  return [
    ...neededIn(objects)
      .filter((link) => !passes(link))
      .map(({ from, to, port }) => `${from.name} cannot reach ${to.name} at ${port}`),
    ...refusedIn(objects)
      .filter(passes)
      .map(({ from, to, port }) => `${from.name} reaches ${to.name} at ${port}`),
  ];
};

function mayLeave(policies: readonly Policy[], { from, to, port }: Connection): boolean {
  const own = selecting(policies, from, "Egress");
  const rules = own.flatMap(({ spec }) => spec?.egress ?? []);
  return own.length === 0 || rules.some((rule) => isPeer(rule.to, to) && isPort(rule.ports, to, port));
}

function mayEnter(policies: readonly Policy[], { from, to, port }: Connection): boolean {
  const own = selecting(policies, to, "Ingress");
  const rules = own.flatMap(({ spec }) => spec?.ingress ?? []);
  return own.length === 0 || rules.some((rule) => isPeer(rule.from, from) && isPort(rule.ports, to, port));
}

/** The policies that a pod is under; those of other namespaces are not ours to know. */
function selecting(policies: readonly Policy[], { namespace, labels }: End, type: "Egress" | "Ingress"): Policy[] {
  if (namespace !== HEADROOM) return [];
  return policies.filter(
    ({ spec }) => spec?.policyTypes?.includes(type) === true && matches(spec.podSelector as Selector, labels),
  );
}

function isPeer(peers: Peers | undefined, { namespace, labels }: End): boolean {
  return (
    peers?.some(({ ipBlock, namespaceSelector, podSelector }) => {
      // Blocks are for addresses outside: those of pods are not looked at.
      if (ipBlock !== undefined || namespace === undefined) return ipBlock !== undefined && namespace === undefined;
      const isThere = namespaceSelector === undefined ? namespace === HEADROOM : matches(namespaceSelector, namespace);
      return isThere && matches(podSelector, labels);
    }) ?? true
  );
}

/** A name is that of the pod's own port. */
function isPort(ports: Ports | undefined, to: End, name: string): boolean {
  return ports?.some(({ port }) => port === undefined || port === to.ports[name] || port === name) ?? true;
}
