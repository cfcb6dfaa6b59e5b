/**
 * The state of a flow in one epoch: one hash in Redis, its only truth while it runs.
 *
 * A node *waits* until all nodes that it needs have ended, is *ready* then, and has *ended* once its end is written, which
 * happens once. Whoever writes an end is told which dependents are ready, each time anew when it asks again, so a worker
 * that is lost between an end and the jobs of those that it made ready is made up for by whoever runs its job again.
 *
 * Fields: `about` (the flow without its nodes); of each node `n:ID` (the node), `d:ID` (who needs it), `w:ID` (how many it
 * waits for), `o:ID` (how it ended); of a fan-out `k:ID` (how many), `l:ID` (how many have not ended), `o:ID/AT`; `s:PATH`
 * (the specification of what is ready), `r:PATH` (the run that does its work), `g:PATH` (the answer at a gate); `left` (how
 * many nodes have not ended).
 */
import type { Redis } from "ioredis";
import { z } from "zod";
import type { NodeEnd, PlannedNode } from "../../contract/flow-run.ts";
import { nodePath } from "../../contract/flow-run.ts";
import { keys } from "../../contract/queues.ts";
import { runSpec, type RunSpec } from "../../contract/run-spec.ts";
import { Script } from "../script.ts";

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
  readonly agents: Readonly<Record<string, readonly string[]>>;
  readonly failFast: boolean;
  /** Time for all of it. */
  readonly timeoutMs?: number;
  readonly planSha256: string;
  /** Nodes that are run anew although what they made before may still hold, and all that hang on them. */
  readonly fresh: readonly string[];
  /** For measuring what edges cost: no command is started. */
  readonly isNoop?: boolean;
  /** Made again after its Redis had lost it: nodes may have rows in the store already. */
  readonly isRestored?: boolean;
}

export interface FlowRef {
  readonly runId: string;
  readonly epoch: number;
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

  /** Writes how a node ended, once. `ready`: the dependents that wait for nothing more. */
  async settle(id: string, end: NodeEnd): Promise<{ isFirst: boolean; ready: string[] }> {
    const [isFirst, ...ready] = (await SETTLE.run(this.#redis, [this.#key], [id, JSON.stringify(end)])) as [
      number,
      ...string[],
    ];
    return { isFirst: isFirst === 1, ready };
  }

  /** Writes how one instance of a fan-out ended, once; how many of it have not ended. */
  async settleInstance(id: string, instance: number, end: NodeEnd): Promise<{ isFirst: boolean; left: number }> {
    const path = nodePath(id, instance);
    const args = [path, id, JSON.stringify(end)];
    const [isFirst, left] = (await SETTLE_INSTANCE.run(this.#redis, [this.#key], args)) as [number, number];
    return { isFirst: isFirst === 1, left };
  }

  /** Notes how many instances a fan-out has, once, and the items; what was noted. */
  async openGroup(id: string, items: readonly unknown[]): Promise<{ items: readonly unknown[]; isFirst: boolean }> {
    const args = [id, JSON.stringify(items), items.length];
    const [isFirst, noted] = (await OPEN_GROUP.run(this.#redis, [this.#key], args)) as [number, string];
    return { items: JSON.parse(noted) as unknown[], isFirst: isFirst === 1 };
  }

  /** The items of a fan-out whose instances are known. */
  async items(id: string): Promise<readonly unknown[] | undefined> {
    const json = await this.#redis.hget(this.#key, `k:${id}`);
    return json === null ? undefined : (JSON.parse(json) as unknown[]);
  }

  /** How the instances of a fan-out ended, in their order; undefined where one has not. */
  async instances(id: string, count: number): Promise<(NodeEnd | undefined)[]> {
    const paths = Array.from({ length: count }, (_, at) => nodePath(id, at));
    const ends = await this.ends(paths);
    return paths.map((path) => ends.get(path));
  }

  /** Notes what a ready node runs, before its job is added. */
  async setSpecs(specs: ReadonlyMap<string, RunSpec>): Promise<void> {
    if (specs.size === 0) return;
    const fields = [...specs].flatMap(([path, spec]) => [`s:${path}`, JSON.stringify(spec)]);
    await this.#redis.hset(this.#key, ...fields);
  }

  async spec(path: string): Promise<RunSpec | undefined> {
    const json = await this.#redis.hget(this.#key, `s:${path}`);
    return json === null ? undefined : runSpec.parse(JSON.parse(json));
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
    const found = new Map<string, T>();
    for (let at = 0; at < names.length; at += FIELDS_AT_ONCE) {
      const some = names.slice(at, at + FIELDS_AT_ONCE);
      const values = await this.#redis.hmget(this.#key, ...some.map((name) => `${prefix}${name}`));
      some.forEach((name, place) => {
        const json = values[place];
        if (json != null) found.set(name, JSON.parse(json) as T);
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

/**
 * Writes the end of a node unless it has one, and counts down who needs it. KEYS[1] hash of the flow. ARGV[1] node. ARGV[2]
 * its end. Returns 1 when it was written now, else 0, and then in both cases the dependents that wait for nothing more and
 * have not ended. An error when there is no such flow or node.
 */
const SETTLE = new Script(`
local json = redis.call("HGET", KEYS[1], "d:" .. ARGV[1])
if not json then return redis.error_reply("NOFLOW no node " .. ARGV[1] .. " in " .. KEYS[1]) end
local first = redis.call("HSETNX", KEYS[1], "o:" .. ARGV[1], ARGV[2])
if first == 1 then
  redis.call("HINCRBY", KEYS[1], "left", -1)
  redis.call("HDEL", KEYS[1], "s:" .. ARGV[1])
end
local answer = { first }
for _, id in ipairs(cjson.decode(json)) do
  local waits
  if first == 1 then waits = redis.call("HINCRBY", KEYS[1], "w:" .. id, -1)
  else waits = tonumber(redis.call("HGET", KEYS[1], "w:" .. id)) end
  if waits == 0 and redis.call("HEXISTS", KEYS[1], "o:" .. id) == 0 then answer[#answer + 1] = id end
end
return answer
`);

/**
 * Writes the end of one instance unless it has one. KEYS[1] hash of the flow. ARGV[1] the instance's path. ARGV[2] its node.
 * ARGV[3] its end. Returns 1 when it was written now, else 0, and how many instances of the node have not ended.
 */
const SETTLE_INSTANCE = new Script(`
local first = redis.call("HSETNX", KEYS[1], "o:" .. ARGV[1], ARGV[3])
redis.call("HDEL", KEYS[1], "s:" .. ARGV[1])
if first == 1 then return { first, redis.call("HINCRBY", KEYS[1], "l:" .. ARGV[2], -1) } end
return { first, tonumber(redis.call("HGET", KEYS[1], "l:" .. ARGV[2]) or 0) }
`);

/**
 * Notes the items of a fan-out once. KEYS[1] hash of the flow. ARGV[1] node. ARGV[2] items. ARGV[3] how many. Returns 1 when
 * they were noted now, else 0, and those that are noted.
 */
const OPEN_GROUP = new Script(`
local first = redis.call("HSETNX", KEYS[1], "k:" .. ARGV[1], ARGV[2])
if first == 1 then redis.call("HSET", KEYS[1], "l:" .. ARGV[1], ARGV[3]) end
return { first, redis.call("HGET", KEYS[1], "k:" .. ARGV[1]) }
`);
