/**
 * The state of a flow in one epoch: one hash in Redis, its only truth while it runs.
 *
 * A node *waits* until all nodes that it needs have ended, is *ready* then, and has *ended* once its end is written, which
 * happens once. Whoever writes an end is told which dependents are ready, each time anew when it asks again, so a worker
 * that is lost between an end and the jobs of those that it made ready is made up for by whoever runs its job again.
 *
 * Fields: `about` (the flow without its nodes); of each node `n:ID` (the node), `d:ID` (who needs it), `w:ID` (how many it
 * waits for), `o:ID` (how it ended); of a fan-out `k:ID` (the items), `l:ID` (how many have not ended), `o:ID/AT`; `s:PATH`
 * (what is ready runs, but for what others run too), `b:DIGEST` (that), `c:PATH` (the job that it was given to), `r:PATH` (the
 * run that does its work), `m:PATH` (what a gate asks), `g:PATH` (the answer there); `left` (how many nodes have not ended).
 */
import type { KeptAgent, TaskMessage } from "../../contract/agents.ts";
import type { Redis } from "ioredis";
import { z } from "zod";
import type { FlowProfiles } from "../../contract/flow-profiles.ts";
import { nodePath, parseNodePath, type NodeEnd, type PlannedNode } from "../../contract/flow-run.ts";
import type { FlowDocument } from "../../contract/flows.ts";
import { keys } from "../../contract/queues.ts";
import type { RunSpec } from "../../contract/run-spec.ts";
import { joinSpec, parseBase, parseOwn, type OwnPart } from "./call-spec.ts";
import { OPEN_GROUP, READ_READY, SETTLE } from "./flow-scripts.ts";

/** What all nodes of a flow have in common. */
export interface FlowAbout {
  readonly name: string;
  /** `inputs.NAME` in expressions. */
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string>>;
  /** The folder of the run, absolute. */
  readonly folder: string;
  /** What relative paths are relative to, absolute. */
  readonly base: string;
  /** Absolute paths of binaries that are named without one. */
  readonly binaries: Readonly<Record<string, string>>;
  /** Agent programs, by name: the binary by an absolute path, and its arguments. */
  readonly agents: Readonly<Record<string, KeptAgent>>;
  /** What is declared of the profiles that its nodes name. */
  readonly profiles?: FlowProfiles;
  readonly failFast: boolean;
  /** What it comes to, as templates over its nodes. */
  readonly outputs?: FlowDocument["outputs"];
  /** Time for all of it. */
  readonly timeoutMs?: number;
  readonly planSha256: string;
  /** Nodes that are run anew although what they made before may still hold, and all that hang on them. */
  readonly fresh: readonly string[];
  /** For measuring what edges cost: no command is started. */
  readonly isNoop?: boolean;
  /** Nodes that say nothing of the network have none. */
  readonly isOffline?: boolean;
  /** Of the agent that started the flow. */
  readonly task?: TaskMessage | undefined;
  /** How often a node may start that writes nothing of it; absent: by the usual rules. */
  readonly mostStarts?: number;
  /** Made again after its Redis had lost it: nodes may have rows in the store already. */
  readonly isRestored?: boolean;
}

export interface FlowRef {
  readonly runId: string;
  readonly epoch: number;
}

/** A node that has ended, and how. */
export interface EndedNode {
  readonly path: string;
  readonly end: NodeEnd;
}

/** The answer of a person at a gate. */
export const gateAnswer = z.object({
  isApproved: z.boolean(),
  by: z.string(),
  note: z.string().nullable(),
  atMs: z.number(),
});
export type GateAnswer = Readonly<z.output<typeof gateAnswer>>;

/** How long the hash of an ended flow is kept. */
const KEEP_ENDED_SECONDS = 86_400;
const FIELDS_AT_ONCE = 1_000;

export class FlowState {
  readonly #redis: Redis;
  readonly #key: string;
  /** Common parts of specifications, by their digests. */
  readonly #bases = new Map<string, RunSpec>();

  constructor(redis: Redis, kp: string, { runId, epoch }: FlowRef) {
    this.#redis = redis;
    this.#key = keys.flow(kp, runId, epoch);
  }

  /** Writes the hash of a flow that begins, in place of any that is there. */
  async create(about: FlowAbout, nodes: readonly PlannedNode[]): Promise<void> {
    const dependents = new Map<string, string[]>();
    for (const { node } of nodes) {
      for (const need of new Set(node.needs.map((edge) => edge.node))) {
        const list = dependents.get(need);
        if (list === undefined) dependents.set(need, [node.id]);
        else list.push(node.id);
      }
    }
    const multi = this.#redis.multi().del(this.#key);
    multi.hset(this.#key, { about: JSON.stringify(about), left: nodes.length });
    for (let at = 0; at < nodes.length; at += FIELDS_AT_ONCE) {
      const fields = nodes.slice(at, at + FIELDS_AT_ONCE).flatMap((planned) => {
        const { id, needs } = planned.node;
        const waits = new Set(needs.map((edge) => edge.node)).size;
        const below = JSON.stringify(dependents.get(id) ?? []);
        return [`n:${id}`, JSON.stringify(planned), `d:${id}`, below, `w:${id}`, waits];
      });
      multi.hset(this.#key, ...fields);
    }
    await multi.exec();
  }

  async isThere(): Promise<boolean> {
    return (await this.#redis.exists(this.#key)) === 1;
  }

  async about(): Promise<FlowAbout | undefined> {
    const json = await this.#redis.hget(this.#key, "about");
    return json === null ? undefined : (JSON.parse(json) as FlowAbout);
  }

  /** All nodes, in the order of the flow file. */
  async allNodes(): Promise<PlannedNode[]> {
    const nodes: PlannedNode[] = [];
    for await (const [, value] of this.#fields("n:*")) nodes.push(JSON.parse(value) as PlannedNode);
    return nodes.toSorted((a, b) => a.index - b.index);
  }

  /** These nodes; those that the flow does not have are left out. */
  async nodes(ids: readonly string[]): Promise<Map<string, PlannedNode>> {
    return this.#parsed<PlannedNode>("n:", ids);
  }

  /** These nodes, and how those that they need or read ended: one round trip for both, as a rule. */
  async withReads(
    ids: readonly string[],
  ): Promise<{ readonly nodes: Map<string, PlannedNode>; readonly ends: Map<string, NodeEnd> }> {
    const answer = (await READ_READY.run(this.#redis, [this.#key], ids)) as readonly (readonly string[])[];
    const [texts = [], found = []] = answer;
    const nodes = new Map<string, PlannedNode>();
    ids.forEach((id, at) => {
      const json = texts[at] ?? "";
      if (json !== "") nodes.set(id, JSON.parse(json) as PlannedNode);
    });
    const ends = new Map<string, NodeEnd>();
    for (let at = 0; at < found.length; at += 2) ends.set(found[at] ?? "", JSON.parse(found[at + 1] ?? "") as NodeEnd);
    const reads = [...nodes.values()].flatMap((one) => [...one.reads, ...one.node.needs.map((edge) => edge.node)]);
    const missed = [...new Set(reads.filter((id) => !ends.has(id)))];
    for (const [id, end] of missed.length === 0 ? [] : await this.ends(missed)) ends.set(id, end);
    return { nodes, ends };
  }

  /** How these nodes or instances ended; those that have not are left out. */
  async ends(paths: readonly string[]): Promise<Map<string, NodeEnd>> {
    return this.#parsed<NodeEnd>("o:", paths);
  }

  /** The nodes that are ready and have not ended. */
  async ready(): Promise<string[]> {
    const ready: string[] = [];
    for await (const [field, value] of this.#fields("w:*")) {
      if (value === "0") ready.push(field.slice(2));
    }
    const ended = await this.ends(ready);
    return ready.filter((id) => !ended.has(id));
  }

  /** The nodes that have not ended. */
  async open(): Promise<string[]> {
    const ids: string[] = [];
    for await (const [field] of this.#fields("w:*")) ids.push(field.slice(2));
    const ended = await this.ends(ids);
    return ids.filter((id) => !ended.has(id));
  }

  async leftCount(): Promise<number> {
    return Number((await this.#redis.hget(this.#key, "left")) ?? 0);
  }

  /**
   * Writes how nodes and instances ended, each once. `ready`: the dependents that wait for nothing more. `groups`: the
   * fan-outs of which no instance is left, and which are to end now.
   */
  async settle(ended: readonly EndedNode[]): Promise<{ ready: string[]; groups: string[] }> {
    const [ready, groups] = [new Set<string>(), new Set<string>()];
    for (let at = 0; at < ended.length; at += FIELDS_AT_ONCE) {
      const args = ended.slice(at, at + FIELDS_AT_ONCE).flatMap(({ path, end }) => {
        const { id, instance } = parseNodePath(path);
        return [path, instance === undefined ? "" : id, JSON.stringify(end)];
      });
      const answer = (await SETTLE.run(this.#redis, [this.#key], args)) as readonly (readonly string[])[];
      for (const id of answer[0] ?? []) ready.add(id);
      for (const id of answer[1] ?? []) groups.add(id);
    }
    return { ready: [...ready], groups: [...groups] };
  }

  /** Notes how many instances a fan-out has, once, and the items; what was noted. */
  async openGroup(id: string, items: readonly unknown[]): Promise<{ items: readonly unknown[]; isFirst: boolean }> {
    const args = [id, JSON.stringify(items), items.length];
    const [isFirst, noted] = (await OPEN_GROUP.run(this.#redis, [this.#key], args)) as [number, string];
    return { items: JSON.parse(noted) as unknown[], isFirst: isFirst === 1 };
  }

  /** The items of a fan-out, which has none from now on if they are not known yet: nothing of it is started then. */
  async closeGroup(id: string): Promise<readonly unknown[]> {
    return (await this.openGroup(id, [])).items;
  }

  /** The items of a fan-out whose instances are known. */
  async items(id: string): Promise<readonly unknown[] | undefined> {
    const json = await this.#redis.hget(this.#key, `k:${id}`);
    return json === null ? undefined : (JSON.parse(json) as unknown[]);
  }

  /** How many instances of a fan-out have not ended. */
  async leftOf(id: string): Promise<number> {
    return Number((await this.#redis.hget(this.#key, `l:${id}`)) ?? 0);
  }

  /** How the instances of a fan-out ended, in their order; undefined where one has not. */
  async instances(id: string, count: number): Promise<(NodeEnd | undefined)[]> {
    const paths = Array.from({ length: count }, (_, at) => nodePath(id, at));
    const ends = await this.ends(paths);
    return paths.map((path) => ends.get(path));
  }

  /** How many instances these fan-outs have, and how many of them have ended; those that are not opened are left out. */
  async groups(ids: readonly string[]): Promise<Map<string, { readonly total: number; readonly ended: number }>> {
    const [items, left] = await Promise.all([this.#parsed<unknown[]>("k:", ids), this.#parsed<number>("l:", ids)]);
    return new Map([...items].map(([id, { length }]) => [id, { total: length, ended: length - (left.get(id) ?? 0) }]));
  }

  /** What these nodes run; those that have ended, or are not ready, are left out. */
  async specs(paths: readonly string[]): Promise<Map<string, RunSpec>> {
    const owns = new Map<string, OwnPart>();
    for (const [path, json] of await this.#texts("s:", paths)) owns.set(path, parseOwn(json));
    const unknown = [...new Set([...owns.values()].map(({ b }) => b))].filter((b) => !this.#bases.has(b));
    for (const [b, json] of await this.#texts("b:", unknown)) this.#bases.set(b, parseBase(json));
    const specs = new Map<string, RunSpec>();
    for (const [path, own] of owns) {
      const base = this.#bases.get(own.b);
      if (base !== undefined) specs.set(path, joinSpec(base, own));
    }
    return specs;
  }

  /** Notes the job that a node is given to, in place of the one before. `jobKey`: its key in Redis. */
  async giveTo(jobKey: string, paths: readonly string[]): Promise<void> {
    await this.#redis.hset(this.#key, ...paths.flatMap((path) => [`c:${path}`, jobKey]));
  }

  /** Notes the run that does the work of a node; the one that was noted first. */
  async setRun(path: string, runId: string): Promise<void> {
    await this.#redis.hset(this.#key, `r:${path}`, runId);
  }

  /** The runs that do the work of nodes. */
  async runs(): Promise<string[]> {
    const found: string[] = [];
    for await (const [, value] of this.#fields("r:*")) found.push(value);
    return found;
  }

  /** The run that does the work of a node, if it has one. */
  async runOf(path: string): Promise<string | undefined> {
    return (await this.#redis.hget(this.#key, `r:${path}`)) ?? undefined;
  }

  /** The runs that do the work of these nodes or instances; those that have none are left out. */
  async runsOf(paths: readonly string[]): Promise<Map<string, string>> {
    return this.#texts("r:", paths);
  }

  /** Notes what is asked at a gate. */
  async setMessage(path: string, message: string): Promise<void> {
    await this.#redis.hset(this.#key, `m:${path}`, message);
  }

  /** What is asked at these gates; those that are not reached yet are left out. */
  async messagesOf(paths: readonly string[]): Promise<Map<string, string>> {
    return this.#texts("m:", paths);
  }

  /** Writes the answer at a gate, once; whether it was the first. */
  async answer(path: string, answer: GateAnswer): Promise<boolean> {
    return (await this.#redis.hsetnx(this.#key, `g:${path}`, JSON.stringify(answer))) === 1;
  }

  async answerAt(path: string): Promise<GateAnswer | undefined> {
    const json = await this.#redis.hget(this.#key, `g:${path}`);
    return json === null ? undefined : gateAnswer.parse(JSON.parse(json));
  }

  /** The flow has ended: its state is kept for a while, for people who ask. */
  async expire(): Promise<void> {
    await this.#redis.expire(this.#key, KEEP_ENDED_SECONDS);
  }

  async #parsed<T>(prefix: string, names: readonly string[]): Promise<Map<string, T>> {
    const texts = await this.#texts(prefix, names);
    return new Map([...texts].map(([name, json]) => [name, JSON.parse(json) as T]));
  }

  async #texts(prefix: string, names: readonly string[]): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    for (let at = 0; at < names.length; at += FIELDS_AT_ONCE) {
      const some = names.slice(at, at + FIELDS_AT_ONCE);
      const values = await this.#redis.hmget(this.#key, ...some.map((name) => `${prefix}${name}`));
      some.forEach((name, place) => {
        const text = values[place];
        if (text != null) found.set(name, text);
      });
    }
    return found;
  }

  async *#fields(match: string): AsyncGenerator<[field: string, value: string]> {
    let cursor = "0";
    do {
      const [next, pairs] = await this.#redis.hscan(this.#key, cursor, "MATCH", match, "COUNT", FIELDS_AT_ONCE);
      cursor = next;
      for (let at = 0; at < pairs.length; at += 2) yield [pairs[at] ?? "", pairs[at + 1] ?? ""];
    } while (cursor !== "0");
  }
}
