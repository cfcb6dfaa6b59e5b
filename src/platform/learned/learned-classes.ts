/**
 * What all workers have learned, in Redis, and this process's view of it.
 *
 * A view is what was read last plus what this process has noted since: what it measures counts here at once, and with the
 * others within a second. Sends and reads of all classes go one after the other, so that no note is counted twice. A class
 * is read again every five seconds, and twice a second while little is known of it.
 */
import type { Redis } from "ioredis";
import { keys } from "../../contract/queues.ts";
import type { Clock } from "../clock.ts";
import type { Service } from "../lifecycle.ts";
import type { Logger } from "../logger.ts";
import { decideDrift } from "./anomaly.ts";
import type { LearnedClass } from "./class-key.ts";
import { ClassModel, ENOUGH } from "./class-model.ts";
import {
  addToState,
  DRIFT_WEIGHT,
  emptyState,
  fadeState,
  formatRecent,
  LEARNED_VERSION,
  versionOf,
  MAX_RECENT,
  parseState,
  samplesOf,
  weightOfClass,
  type ClassState,
  type ParsedState,
  type RecentJob,
} from "./class-state.ts";
import { addToClass, setClassAside } from "./learned-script.ts";
import type { Note } from "./note.ts";

const FLUSH_MS = 1_000;
const FRESH_MS = 5_000;
const FRESH_FEW_MS = 500;
/** Beyond this weight the past is halved. */
const HALVE_AT = 500;
export const KEEP_LEARNED_SECONDS = 90 * 24 * 3_600;
export const MAX_CLASSES = 1_000;
const MAX_VIEWS = 256;
/** A model is made anew once so many of a hundred jobs are new: it is asked before each of them. */
const STALE_RATIO = 0.03;
/** Nor more often than this, once a few jobs are known: many short ones end in one turn of the event loop. */
const MODEL_MS = 100;

interface Pending {
  readonly sums: Map<string, number>;
  recent: RecentJob[];
  jobs: number;
  hasDrifted: boolean;
}

interface View {
  readonly about: LearnedClass;
  state: ClassState;
  model: ClassModel | undefined;
  madeAtMs: number;
  /** Jobs noted since the model was made. */
  newJobs: number;
  pending: Pending | undefined;
  readAtMs: number;
  reading: Promise<void> | undefined;
  /** Told once: a hash that cannot be read. */
  isRefused: boolean;
}

export interface LearnedClassesDeps {
  readonly redis: Redis;
  /** The result of `keyPrefix`. */
  readonly prefix: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class LearnedClasses implements Service {
  readonly #deps: LearnedClassesDeps;
  readonly #views = new Map<string, View>();
  #timer: NodeJS.Timeout | undefined;
  #turn: Promise<void> = Promise.resolve();

  constructor(deps: LearnedClassesDeps) {
    this.#deps = deps;
  }

  start(): Promise<void> {
    this.#timer ??= setInterval(() => {
      void this.flush();
    }, FLUSH_MS);
    this.#timer.unref();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.flush();
  }

  /** What is known here by now; undefined when nothing is. Reads again in the background when that is due. */
  peek(about: LearnedClass): ClassModel | undefined {
    const view = this.#viewOf(about);
    const freshMs = samplesOf(view.state) < ENOUGH ? FRESH_FEW_MS : FRESH_MS;
    if (this.#deps.clock.monotonicMs() - view.readAtMs >= freshMs) void this.#read(view);
    return this.#modelOf(view);
  }

  /** The same, read from Redis if it never was. A Redis that does not answer is logged, and nothing is known then. */
  async load(about: LearnedClass): Promise<ClassModel | undefined> {
    const view = this.#viewOf(about);
    if (view.readAtMs === -Infinity) await this.#read(view);
    return this.#modelOf(view);
  }

  /** Reads a class anew. */
  refresh(about: LearnedClass): Promise<void> {
    return this.#read(this.#viewOf(about));
  }

  /** Takes a note of one process. Returns whether the class is found to be no longer what it was. */
  note(about: LearnedClass, note: Note): boolean {
    const view = this.#viewOf(about);
    const pending = (view.pending ??= { sums: new Map(), recent: [], jobs: 0, hasDrifted: false });
    addSums(pending.sums, note.sums);
    pending.recent = [...pending.recent, note.recent].slice(-MAX_RECENT);
    pending.jobs += note.jobs;
    const wasFew = samplesOf(view.state) < ENOUGH;
    addToState(view.state, { sums: note.sums, recent: [note.recent], jobs: note.jobs });
    view.newJobs += 1;
    // One that stayed within cannot be the one too many.
    const hasDrifted = note.recent.coverage === "beyond" && decideDrift(view.state.recent);
    if (hasDrifted) {
      fadeState(view.state, DRIFT_WEIGHT);
      pending.hasDrifted = true;
      view.model = undefined;
    }
    // The first jobs of a class decide how many more of it may run: the others are to know at once.
    if (wasFew) void this.flush();
    return hasDrifted;
  }

  /** Takes back what a job that ran was noted with, once its end is known. */
  retract(about: LearnedClass, sums: ReadonlyMap<string, number>): void {
    const view = this.#viewOf(about);
    const pending = (view.pending ??= { sums: new Map(), recent: [], jobs: 0, hasDrifted: false });
    addSums(pending.sums, sums);
    addToState(view.state, { sums, recent: [], jobs: 0 });
    view.newJobs += 1;
  }

  /** Sends what was noted. What Redis does not take is dropped: it is measured again with the next jobs. */
  flush(): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      for (const view of this.#views.values()) await this.#send(view);
    });
    return this.#turn;
  }

  #modelOf(view: View): ClassModel | undefined {
    const { state, model } = view;
    if (weightOfClass(state) <= 0) return undefined;
    const nowMs = this.#deps.clock.monotonicMs();
    const isDue = samplesOf(state) < ENOUGH || nowMs - view.madeAtMs >= MODEL_MS;
    if (model !== undefined && !(isDue && view.newJobs > STALE_RATIO * weightOfClass(state))) return model;
    view.madeAtMs = nowMs;
    view.newJobs = 0;
    return (view.model = new ClassModel(state));
  }

  #viewOf(about: LearnedClass): View {
    const known = this.#views.get(about.key);
    if (known !== undefined) return known;
    if (this.#views.size >= MAX_VIEWS) this.#forgetOldest();
    const view: View = {
      about,
      state: emptyState(about),
      model: undefined,
      madeAtMs: -Infinity,
      newJobs: 0,
      pending: undefined,
      readAtMs: -Infinity,
      reading: undefined,
      isRefused: false,
    };
    this.#views.set(about.key, view);
    return view;
  }

  #forgetOldest(): void {
    for (const [key, view] of this.#views) {
      if (view.pending !== undefined || view.reading !== undefined) continue;
      this.#views.delete(key);
      return;
    }
  }

  #read(view: View): Promise<void> {
    view.reading ??= this.#turnOf(() => this.#readNow(view)).finally(() => (view.reading = undefined));
    return view.reading;
  }

  #turnOf(work: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(work);
    return this.#turn;
  }

  async #readNow(view: View): Promise<void> {
    const { redis, prefix, clock, logger } = this.#deps;
    await this.#send(view);
    try {
      const hash = await loadHash(redis, keys.learned(prefix, view.about.key));
      view.readAtMs = clock.monotonicMs();
      await this.#take(view, hash.kind === "hash" ? parseState(hash.fields) : hash);
    } catch (error) {
      view.readAtMs = clock.monotonicMs();
      logger.warn({ err: error }, "learned figures could not be read");
    }
  }

  async #take(view: View, parsed: ParsedState): Promise<void> {
    const { redis, prefix } = this.#deps;
    const { key } = view.about;
    if (parsed.kind === "newer" || parsed.kind === "corrupt") this.#refuse(view, parsed);
    else view.isRefused = false;
    if (parsed.kind === "corrupt") {
      const places = [keys.learned(prefix, key), keys.learnedAside(prefix, key)];
      await setClassAside.run(redis, places, [LEARNED_VERSION, KEEP_LEARNED_SECONDS, parsed.field, parsed.value]);
    }
    view.state = parsed.kind === "state" ? parsed.state : emptyState(view.about);
    if (view.pending !== undefined) addToState(view.state, view.pending);
    view.model = undefined;
  }

  #refuse(view: View, why: Exclude<ParsedState, { kind: "none" | "state" }>): void {
    if (view.isRefused) return;
    view.isRefused = true;
    const about = { class: view.about.key, profile: view.about.profile };
    if (why.kind === "newer") {
      const text = "what was learned of a class is of a newer version, it counts as unknown and is left alone";
      this.#deps.logger.warn({ ...about, expected: LEARNED_VERSION, found: why.version }, text);
    } else {
      const text = "what was learned of a class cannot be read, it is set aside and begun anew";
      this.#deps.logger.warn({ ...about, field: why.field, found: why.value.slice(0, 100) }, text);
    }
  }

  async #send(view: View): Promise<void> {
    const { pending, about } = view;
    if (pending === undefined) return;
    view.pending = undefined;
    const { redis, prefix, clock, logger } = this.#deps;
    const at = (key: string) => keys.learned(prefix, key);
    const places = [at(about.key), keys.learnedAside(prefix, about.key), keys.learnedClasses(prefix)];
    const head = [LEARNED_VERSION, KEEP_LEARNED_SECONDS, about.key, clock.nowMs(), nameOf(about), pending.jobs];
    const limits = [MAX_RECENT, HALVE_AT, pending.hasDrifted ? DRIFT_WEIGHT : 0, MAX_CLASSES, versionOf(pending)];
    const sums = [...pending.sums].flat();
    try {
      const answer = await addToClass.run(redis, places, [...head, formatRecent(pending.recent), ...limits, ...sums]);
      if (answer === "newer") this.#refuse(view, { kind: "newer", version: LEARNED_VERSION + 1 });
      if (!Array.isArray(answer)) return;
      const [what, ...old] = answer as string[];
      if (what === "aside") this.#refuse(view, { kind: "corrupt", field: "v", value: "no state of a class" });
      // Pairs of a class and its time.
      const gone = old.filter((_, at) => at % 2 === 0);
      if (gone.length > 0) await redis.unlink(...gone.map(at));
    } catch (error) {
      logger.warn({ err: error, jobs: pending.jobs }, "learned figures could not be stored and are dropped");
    }
  }
}

function addSums(to: Map<string, number>, sums: ReadonlyMap<string, number>): void {
  for (const [field, amount] of sums) to.set(field, (to.get(field) ?? 0) + amount);
}

function nameOf({ profile, command }: LearnedClass): string {
  return JSON.stringify({ profile, command });
}

type LoadedHash =
  | { readonly kind: "hash"; readonly fields: Readonly<Record<string, string>> }
  | { readonly kind: "corrupt"; readonly field: string; readonly value: string };

/** The hash, or that something else stands in its place. */
export async function loadHash(redis: Redis, key: string): Promise<LoadedHash> {
  try {
    return { kind: "hash", fields: await redis.hgetall(key) };
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("WRONGTYPE")) {
      return { kind: "corrupt", field: "v", value: error.message };
    }
    throw error;
  }
}
