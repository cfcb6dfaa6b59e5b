/**
 * Adds a root and its children to their queues, and sets the hash of their run, in one script: one command, one round
 * trip, nothing of it seen by others before all of it is there.
 *
 * BullMQ's `FlowProducer.add` makes a transaction of the same scripts, but lets nothing else into it, makes each queue
 * anew, and does not look at every answer (bullmq#3851); ioredis takes longer to make that transaction than Redis to carry
 * it out. So this has BullMQ prepare its calls (`addJobToTransaction`, which it keeps public for that), keeps them, and
 * runs them inside one script that is put together from BullMQ's own.
 *
 * Built on the place of those scripts in BullMQ's package, which it does not promise. They are asserted when this file is
 * loaded, and BullMQ's version is pinned.
 */
import type { Job, Queue } from "bullmq";
import type { Redis } from "ioredis";
import { createRequire } from "node:module";
import { InfrastructureError } from "../contract/errors.ts";
import { Script } from "./script.ts";

export interface FlowJob {
  readonly queue: Queue;
  /** Its parent, if it has one, is in its options. */
  readonly job: Job;
}

/** A hash that is set with the flow, before any job of it can be claimed. */
export interface FlowHash {
  readonly key: string;
  readonly fields: Readonly<Record<string, string | number>>;
  /** Whether fields that are there already are deleted. */
  readonly isAnew: boolean;
}

type Argument = string | number | Buffer;
interface Call {
  readonly name: PartName;
  readonly args: readonly Argument[];
}

const partNames = [
  "addParentJob",
  "addStandardJob",
  "addPrioritizedJob",
  "releaseParentIfNoPendingDependencies",
] as const;
type PartName = (typeof partNames)[number];

const parts = loadParts();
const keysOf = new Map<string, number>(parts.map(({ name, keys }) => [name, keys]));

/**
 * Runs scripts of BullMQ one after the other.
 * KEYS[1] hash of the run, or the root's key when there is none to set. KEYS[2…] the keys of the calls, in their order.
 * ARGV[1] 1 to delete the hash first, else 0. ARGV[2] how many arguments of HSET follow, 0 for no hash; those. Then for each
 * call its name, how many keys it takes, how many arguments, and these.
 * Returns the answers of the calls: ids of jobs, or negative numbers that say what was not done; false for no answer.
 */
const STEP = new Script(`
local parts = {}
${parts.map(({ name, content }) => `parts["${name}"] = function(KEYS, ARGV)\n${content}\nend`).join("\n")}
if ARGV[1] == "1" then redis.call("DEL", KEYS[1]) end
local fields = tonumber(ARGV[2])
if fields > 0 then redis.call("HSET", KEYS[1], unpack(ARGV, 3, 2 + fields)) end
local answers = {}
local key, at = 2, 3 + fields
while at <= #ARGV do
  local keys, count = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local answer = parts[ARGV[at]]({ unpack(KEYS, key, key + keys - 1) }, { unpack(ARGV, at + 3, at + 2 + count) })
  answers[#answers + 1] = answer or false
  key, at = key + keys, at + 3 + count
end
return answers
`);

/** Safe to repeat: a job whose id is there already stays as it is. @throws {InfrastructureError} naming what was not added */
export async function addFlow(
  redis: Redis,
  root: FlowJob,
  children: readonly FlowJob[],
  hash?: FlowHash,
): Promise<void> {
  const rootId = root.job.id ?? "";
  const calls = await callsOf(root, children);
  const fields = hash === undefined ? [] : Object.entries(hash.fields).flat();
  const keys = [hash?.key ?? root.queue.toKey(rootId)];
  const args: Argument[] = [hash?.isAnew === true ? 1 : 0, fields.length, ...fields];
  for (const call of calls) {
    const count = keysOf.get(call.name) ?? 0;
    keys.push(...call.args.slice(0, count).map(String));
    args.push(call.name, count, call.args.length - count, ...call.args.slice(count));
  }
  const answers = (await STEP.run(redis, keys, args)) as readonly unknown[];
  const refused = answers.find((answer) => typeof answer === "number" && answer < 0);
  if (refused === undefined && answers.length === calls.length) return;
  throw new InfrastructureError(`redis: expected to add every job of flow ${rootId}, found ${JSON.stringify(answers)}`);
}

async function callsOf(root: FlowJob, children: readonly FlowJob[]): Promise<readonly Call[]> {
  const calls = new CallList();
  const parentKey = root.queue.toKey(root.job.id ?? "");
  const parentDependenciesKey = `${parentKey}:dependencies`;
  // An only child may release its parent itself; of several, the first must not do so before the others are there.
  const deferParentRelease = children.length > 1;
  const above = root.job.parentKey === undefined ? {} : aboveOf(root.job.parentKey);
  await calls.add(root, { addToWaitingChildren: children.length > 0, ...above });
  for (const child of children) await calls.add(child, { parentKey, parentDependenciesKey, deferParentRelease });
  if (deferParentRelease) {
    const release = [parentKey, parentDependenciesKey, root.queue.qualifiedName, root.job.id ?? "", Date.now()];
    calls.runCommand("releaseParentIfNoPendingDependencies", release);
  }
  return calls.all;
}

function aboveOf(parentKey: string): { parentKey: string; parentDependenciesKey: string } {
  return { parentKey, parentDependenciesKey: `${parentKey}:dependencies` };
}

/**
 * Takes children that have ended, or are gone, off the list that their parent waits for, and releases the parent when none
 * is left. KEYS[1] parent. KEYS[2] its list. KEYS[3…] children. ARGV[1] queue of the parent. ARGV[2] its id. ARGV[3] now.
 * Returns how many were taken off, and 1 if the parent was released, else 0.
 */
const RELEASE = new Script(`
local function release(KEYS, ARGV)
${parts.find(({ name }) => name === "releaseParentIfNoPendingDependencies")?.content ?? ""}
end
local taken = 0
for i = 3, #KEYS do
  if redis.call("EXISTS", KEYS[i]) == 0 or redis.call("HEXISTS", KEYS[i], "finishedOn") == 1 then
    taken = taken + redis.call("SREM", KEYS[2], KEYS[i])
  end
end
local waiting = ARGV[1] .. ":waiting-children"
local before = redis.call("ZSCORE", waiting, ARGV[2])
release({ KEYS[1], KEYS[2] }, ARGV)
return { taken, before and not redis.call("ZSCORE", waiting, ARGV[2]) and 1 or 0 }
`);

/** Mends a parent that waits for children that will never tell it of their end. Safe to repeat, and for any parent. */
export async function releaseParent(
  redis: Redis,
  parent: { readonly queue: Queue; readonly id: string },
  children: readonly string[],
): Promise<{ readonly taken: number; readonly isReleased: boolean }> {
  const key = parent.queue.toKey(parent.id);
  const places = [key, `${key}:dependencies`, ...children];
  const args = [parent.queue.qualifiedName, parent.id, Date.now()];
  const [taken = 0, released = 0] = (await RELEASE.run(redis, places, args)) as readonly number[];
  return { taken, isReleased: released === 1 };
}

/** Calls of nodes of a flow that one job is to run. */
export interface GuardedJob extends FlowJob {
  /** The nodes: the job is only added while none of them has ended or is held by another job that goes on. */
  readonly paths: readonly string[];
  /** Fields of the flow that are set with it. */
  readonly fields: Readonly<Record<string, string>>;
  /** Whether it is made for nodes that may have been with a job before. */
  readonly isRepeat: boolean;
}

/** Why a job was not added: a node of it is not free, or was with a job before although it is no `repeat`. */
export type Refused = "taken" | "repeat";

/**
 * Adds jobs below their root, each only while all of its nodes are free, and notes that it has them. KEYS[1] hash of the
 * flow. KEYS[2…] the keys of the calls, in their order. ARGV for each call its name, how many keys it takes, how many
 * arguments, and these; then the key of the job, 1 if it is a repeat, else 0, how many nodes it has, and these; then how many
 * fields and values are set, and these. Returns the answer of each call; "taken" or "repeat" where nothing was done.
 */
const ADD_GUARDED = new Script(`
local parts = {}
${parts.map(({ name, content }) => `parts["${name}"] = function(KEYS, ARGV)\n${content}\nend`).join("\n")}
local function refusal_of(path, repeats)
  if redis.call("HEXISTS", KEYS[1], "o:" .. path) == 1 then return "taken" end
  local job = redis.call("HGET", KEYS[1], "c:" .. path)
  if not job then return nil end
  if redis.call("EXISTS", job) == 1 and redis.call("HEXISTS", job, "finishedOn") == 0 then return "taken" end
  return repeats == "0" and "repeat" or nil
end
local answers = {}
local key, at = 2, 1
while at <= #ARGV do
  local name, keys, count = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local args = { unpack(ARGV, at + 3, at + 2 + count) }
  at = at + 3 + count
  local job, repeats, nodes = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local first, last = at + 3, at + 2 + nodes
  local fields = tonumber(ARGV[last + 1])
  local refusal
  for i = first, last do
    if refusal ~= "taken" then refusal = refusal_of(ARGV[i], repeats) or refusal end
  end
  if not refusal then
    local answer = parts[name]({ unpack(KEYS, key, key + keys - 1) }, args)
    answers[#answers + 1] = answer or false
    if not (type(answer) == "number" and answer < 0) then
      for i = first, last do redis.call("HSET", KEYS[1], "c:" .. ARGV[i], job) end
      if fields > 0 then redis.call("HSET", KEYS[1], unpack(ARGV, last + 2, last + 1 + fields)) end
    end
  else
    answers[#answers + 1] = refusal
  end
  key, at = key + keys, last + 2 + fields
end
return answers
`);

/** Those that were not added, and why. @throws {InfrastructureError} when one could not be added */
export async function addGuarded(
  redis: Redis,
  flowKey: string,
  jobs: readonly GuardedJob[],
): Promise<Map<GuardedJob, Refused>> {
  const [keys, args]: [string[], Argument[]] = [[flowKey], []];
  for (const { queue, job, paths, fields, isRepeat } of jobs) {
    const list = new CallList();
    const parentKey = job.parentKey ?? "";
    await list.add({ queue, job }, { parentKey, parentDependenciesKey: `${parentKey}:dependencies` });
    const [call] = list.all;
    if (call === undefined) throw new TypeError("bullmq: expected a script for a new job, found none");
    const count = keysOf.get(call.name) ?? 0;
    keys.push(...call.args.slice(0, count).map(String));
    args.push(call.name, count, call.args.length - count, ...call.args.slice(count));
    const set = Object.entries(fields).flat();
    args.push(queue.toKey(job.id ?? ""), isRepeat ? 1 : 0, paths.length, ...paths, set.length, ...set);
  }
  const answers = (await ADD_GUARDED.run(redis, keys, args)) as readonly unknown[];
  const refused = answers.find((answer) => typeof answer === "number" && answer < 0);
  if (refused !== undefined || answers.length !== jobs.length) {
    throw new InfrastructureError(`redis: expected to add every job of ${flowKey}, found ${JSON.stringify(answers)}`);
  }
  return new Map(
    jobs.flatMap((job, at) => {
      const answer = answers[at];
      return answer === "taken" || answer === "repeat" ? [[job, answer] as const] : [];
    }),
  );
}

type Backend = ReturnType<Queue["getBackend"]>;
type Transaction = Parameters<Backend["addJobToTransaction"]>[0];
type ParentOptions = Parameters<Backend["addJobToTransaction"]>[3];

/** Stands where BullMQ expects a transaction, and keeps what it would send. */
class CallList {
  readonly all: Call[] = [];

  async add({ queue, job }: FlowJob, parentOptions: ParentOptions): Promise<void> {
    const { jobData, jobId } = job.toFlowEntry(parentOptions ?? {});
    const self = this as unknown as Transaction;
    await queue.getBackend().addJobToTransaction(self, jobData, jobId, parentOptions);
  }

  /** The name comes with BullMQ's version behind a colon. */
  runCommand(command: string, args: readonly Argument[]): this {
    const [name] = command.split(":");
    const known = partNames.find((part) => part === name);
    if (known === undefined) throw new TypeError(`bullmq: expected a script for new jobs, found ${command}`);
    this.all.push({ name: known, args });
    return this;
  }
}

function loadParts(): readonly { readonly name: PartName; readonly content: string; readonly keys: number }[] {
  const scripts = createRequire(import.meta.url)("bullmq/dist/cjs/scripts/index.js") as Record<string, unknown>;
  return partNames.map((name) => {
    const { content, keys } = (scripts[name] ?? {}) as { content?: unknown; keys?: unknown };
    if (typeof content === "string" && typeof keys === "number") return { name, content, keys };
    throw new TypeError(`bullmq: expected the text of its script ${name}, found ${typeof content}`);
  });
}
