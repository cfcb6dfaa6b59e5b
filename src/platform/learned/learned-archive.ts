/** All that was learned, as a whole: listed, taken out, put back, forgotten. */
import type { Redis } from "ioredis";
import { z } from "zod";
import { InvalidInputError, type Fault } from "../../contract/errors.ts";
import type { Expectation } from "../../contract/expectation.ts";
import { keys } from "../../contract/queues.ts";
import { coverageOf } from "./anomaly.ts";
import { dropClassLimits } from "./class-limit-store.ts";
import { ClassModel } from "./class-model.ts";
import { LEARNED_VERSION, parseState } from "./class-state.ts";
import { KEEP_LEARNED_SECONDS, loadHash, MAX_CLASSES } from "./learned-classes.ts";

/** One class with its hash as it stands in Redis. */
const archivedClass = z.strictObject({
  key: z.string().regex(/^[a-z0-9_-]{1,40}:[0-9a-f]{64}$/, "a profile and a digest"),
  atMs: z.number().nonnegative(),
  fields: z.record(z.string(), z.string()),
});
export type ArchivedClass = Readonly<z.output<typeof archivedClass>>;

const archive = z.strictObject({
  format: z.literal("headroom-learned"),
  version: z.int().positive(),
  classes: z.array(archivedClass).max(MAX_CLASSES),
});
export type LearnedArchive = Readonly<z.output<typeof archive>>;

/** What a person is told of a class. */
export interface LearnedSummary {
  readonly key: string;
  readonly profile: string;
  readonly command: readonly string[];
  readonly atMs: number;
  /** Jobs ever measured, and how many count now. */
  readonly jobs: number;
  readonly samples: number;
  readonly drifts: number;
  readonly memoryBytes: Expectation["memoryBytes"];
  /** Memory of one GPU; null where no job was seen on one. */
  readonly gpuMemoryBytes: Expectation["memoryBytes"] | null;
  readonly durationMs: NonNullable<Expectation["durationMs"]> | null;
  readonly cpuCores: NonNullable<Expectation["cpuCores"]> | null;
  /** Share of the last thirty jobs that stayed below what was expected; null before the first. */
  readonly coverage: number | null;
}

const PAGE = 50;

/** Every class in Redis, the one that was learned of last first; hashes that cannot be read are in it too. */
export async function loadClasses(redis: Redis, kp: string): Promise<ArchivedClass[]> {
  const found = await redis.zrevrange(keys.learnedClasses(kp), 0, -1, "WITHSCORES");
  const classes: ArchivedClass[] = [];
  for (let at = 0; at < found.length; at += 2 * PAGE) {
    const page = found.slice(at, at + 2 * PAGE);
    const loaded = await Promise.all(
      page.flatMap((key, place) =>
        place % 2 === 0 ? [loadHash(redis, keys.learned(kp, key)).then((hash) => ({ key, hash, place }))] : [],
      ),
    );
    for (const { key, hash, place } of loaded) {
      const fields = hash.kind === "hash" ? hash.fields : {};
      if (Object.keys(fields).length > 0) classes.push({ key, atMs: Number(page[place + 1] ?? 0), fields });
    }
  }
  return classes;
}

/** What a class says for an input of the usual size; undefined for a hash that this version cannot read. */
export function summaryOf({ key, atMs, fields }: ArchivedClass): LearnedSummary | undefined {
  const parsed = parseState(fields);
  if (parsed.kind !== "state") return undefined;
  const { state } = parsed;
  const model = new ClassModel(state);
  const sizes = state.recent.map(({ inputBytes }) => inputBytes).toSorted((a, b) => a - b);
  const expected = model.predict(sizes[Math.floor(sizes.length / 2)] ?? 0);
  if (expected === undefined) return undefined;
  return {
    ...{ key, atMs, profile: state.name.profile, command: state.name.command },
    ...{ jobs: state.jobs, samples: expected.samples, drifts: state.drifts },
    memoryBytes: expected.memoryBytes,
    gpuMemoryBytes: gpuMemoryOf(expected),
    durationMs: expected.durationMs ?? null,
    cpuCores: expected.cpuCores ?? null,
    coverage: coverageOf(state.recent) ?? null,
  };
}

function gpuMemoryOf({ gpuMemoryBytes }: Expectation): LearnedSummary["gpuMemoryBytes"] {
  return gpuMemoryBytes === undefined ? null : { p50: gpuMemoryBytes.p50, p95: gpuMemoryBytes.p95 };
}

export function archiveOf(classes: readonly ArchivedClass[]): LearnedArchive {
  return { format: "headroom-learned", version: LEARNED_VERSION, classes: [...classes] };
}

/** Reads an archive. @throws {InvalidInputError} that names what is no part of one, or is of a newer version */
export function parseArchive(text: string, what: string): LearnedArchive {
  const parsed = archive.safeParse(jsonOf(text));
  if (!parsed.success) {
    const faults = parsed.error.issues.slice(0, 10).map((issue) => ({
      where: issue.path.join(".") || what,
      expected: "what `headroom learned export` writes",
      found: issue.message,
    }));
    throw new InvalidInputError(what, faults);
  }
  const faults = parsed.data.classes.flatMap(({ key, fields }): Fault[] => {
    const state = parseState(fields);
    if (state.kind === "state") return [];
    if (state.kind === "newer") {
      return [{ where: key, expected: `version ${LEARNED_VERSION}`, found: `the newer version ${state.version}` }];
    }
    const found = state.kind === "none" ? "nothing" : JSON.stringify(state.value.slice(0, 60));
    return [{ where: state.kind === "none" ? key : `${key} ${state.field}`, expected: "a figure of a class", found }];
  });
  if (faults.length > 0) throw new InvalidInputError(what, faults);
  return parsed.data;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Refused as no archive.
  }
}

/** Puts classes in the place of those of the same name. The fields are those of a state: see `parseArchive`. */
export async function putClasses(redis: Redis, kp: string, classes: readonly ArchivedClass[]): Promise<void> {
  for (const { key, atMs, fields } of classes) {
    await redis
      .multi()
      .del(keys.learned(kp, key))
      .hset(keys.learned(kp, key), fields)
      .expire(keys.learned(kp, key), KEEP_LEARNED_SECONDS)
      .zadd(keys.learnedClasses(kp), atMs, key)
      .exec();
  }
}

/** Forgets classes; how many there were. */
export async function dropClasses(redis: Redis, kp: string, classKeys: readonly string[]): Promise<number> {
  let dropped = 0;
  for (const key of classKeys) {
    await redis.unlink(keys.learned(kp, key));
    dropped += await redis.zrem(keys.learnedClasses(kp), key);
  }
  await dropClassLimits(redis, kp, classKeys);
  return dropped;
}
