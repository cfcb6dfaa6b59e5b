/**
 * What the workers of one machine have promised, in one place that all of them see: a small file each in a folder in
 * memory. They need no server and no lock: a worker writes its promise first, reads those of the others then, and takes
 * its own back when both do not fit. Of two that promise at the same moment at least one sees the other, so the machine is
 * never promised twice; both may step back then, and each tries again a moment later.
 *
 * A file lives as long as its worker. One whose worker was killed is removed by the next worker that finds it. A worker
 * that lives and does not write (stopped, hung) has a say for `STALE_MS`: then neither its turn nor its cores hold the
 * others up. The memory that its jobs may yet take, and their cards, count for `LOST_MS`, as long as it holds their locks.
 * Where process numbers mean nothing (another container over the same folder), nothing counts after `STALE_MS`. What the
 * jobs use is measured all the same.
 */
import { closeSync, fstatSync, openSync, readdirSync, readlinkSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { messageOf } from "../../contract/errors.ts";
import type { Logger } from "../../platform/logger.ts";
import { makeFolders } from "../../platform/make-folders.ts";
import { isAlive, ownIdentity, processIdentity } from "../../platform/process-identity.ts";
import { CachedFile } from "./probes/cached-file.ts";
import type { CardUse } from "./reservations.ts";

/** What one worker has promised to its jobs. */
export interface MachinePromise {
  /** Promised and not yet in use. */
  readonly growthBytes: number;
  readonly cpuCores: number;
  readonly processes: number;
  /** GPUs that its jobs hold, by their UUIDs. */
  readonly cards: readonly string[];
  /** What its jobs count with on cards, those that asked for none among them; a worker of an earlier version tells nothing. */
  readonly cardUse?: readonly CardUse[] | undefined;
  /** It is ending a job for its memory: others wait for what that frees. */
  readonly isEnding: boolean;
  /** For how long it has had work and no room for any job; 0 when that is not so. */
  readonly starvedMs: number;
}

/** A promise of another worker, and the memory levels (by name) that it counts against. */
export interface Neighbour extends MachinePromise {
  readonly workerId: string;
  readonly levels: readonly string[];
}

/** The seam to the governor. */
export interface SharedLedger {
  publish(promise: MachinePromise, levels: readonly string[]): void;
  /** What the other workers have promised, as of now. */
  others(): readonly Neighbour[];
  close(): void;
}

/** For a worker that shares its machine with no other. */
export const aloneLedger: SharedLedger = {
  publish: () => undefined,
  others: () => [],
  close: () => undefined,
};

const record = z.object({
  /** The same at both ends: what was read is one whole writing. */
  write: z.int(),
  workerId: z.string(),
  owner: processIdentity.extend({ namespace: z.string() }),
  atMs: z.number(),
  growthBytes: z.number().nonnegative(),
  cpuCores: z.number().nonnegative(),
  processes: z.number().nonnegative(),
  /** A worker of a version before tells none. */
  cards: z.array(z.string()).default([]),
  cardUse: z
    .array(z.object({ card: z.string(), bytes: z.number().nonnegative(), growthBytes: z.number().nonnegative() }))
    .readonly()
    .optional(),
  isEnding: z.boolean(),
  starvedMs: z.number().nonnegative(),
  levels: z.array(z.string()),
  written: z.int(),
});
type Stored = z.output<typeof record>;

const STALE_MS = 5_000;
const LOST_MS = 30_000;
/** A worker that wrote this recently is not asked whether it lives. */
const SURELY_ALIVE_MS = 500;
/** A file is rewritten in place: what is shorter than before is filled up with blanks. */
const FILE_BYTES = 4_096;
const READS = 3;
const SUFFIX = ".json";

/** Where the workers of one user on this machine meet: a file system in memory where there is one. */
export function machineFolder(): string {
  // By number: the user of a container need not have a name.
  const name = `headroom-${process.getuid?.() ?? 0}`;
  try {
    if (statSync("/dev/shm").isDirectory()) return join("/dev/shm", name);
  } catch {
    // No such file system here: the folder for temporary files does as well.
  }
  return join(tmpdir(), name);
}

/** The clock that times of files are taken from may stand still for so long. */
const CLOCK_STEP_NS = 20_000_000n;

interface OtherFile {
  readonly file: CachedFile;
  text: string;
  last: Stored | undefined;
}

interface Listing {
  readonly names: readonly string[];
  readonly changedNs: bigint;
  /** Whether any change that comes after it gives the folder another time. */
  readonly isSettled: boolean;
}

export class MachineLedger implements SharedLedger {
  readonly #folder: string;
  readonly #workerId: string;
  readonly #logger: Logger;
  readonly #path: string;
  readonly #others = new Map<string, OtherFile>();
  readonly #namespace = pidNamespace();
  readonly #nowMs: () => number;
  #file: number | undefined;
  #listing: Listing | undefined;
  #writes = 0;
  #fault = "";

  constructor(folder: string, workerId: string, logger: Logger, nowMs: () => number = machineMs) {
    this.#nowMs = nowMs;
    this.#folder = folder;
    this.#workerId = workerId;
    this.#logger = logger;
    this.#path = join(folder, `${ownIdentity().pid}-${encodeURIComponent(workerId)}${SUFFIX}`);
  }

  publish(promise: MachinePromise, levels: readonly string[]): void {
    this.#attempt("could not be written", () => {
      this.#writes += 1;
      const stored: Stored = {
        write: this.#writes,
        workerId: this.#workerId,
        owner: { ...ownIdentity(), namespace: this.#namespace },
        atMs: this.#nowMs(),
        ...promise,
        cards: [...promise.cards],
        levels: [...levels],
        written: this.#writes,
      };
      // As it is read: names of cgroups are bytes to us.
      writeSync(this.#opened(), JSON.stringify(stored).padEnd(FILE_BYTES), 0, "latin1");
    });
  }

  others(): readonly Neighbour[] {
    return (
      this.#attempt("could not be read", () => {
        return this.#names().flatMap((name) => this.#neighbour(name) ?? []);
      }) ?? []
    );
  }

  close(): void {
    if (this.#file === undefined) return;
    closeSync(this.#file);
    this.#file = undefined;
    rmSync(this.#path, { force: true });
    this.#forgetMissing([]);
  }

  #opened(): number {
    // Somebody has cleaned up around us: a file without a name is seen by nobody.
    if (this.#file !== undefined && fstatSync(this.#file).nlink === 0) {
      closeSync(this.#file);
      this.#file = undefined;
    }
    if (this.#file === undefined) {
      makeFolders(this.#folder);
      this.#file = openSync(this.#path, "w", 0o600);
    }
    return this.#file;
  }

  /** Read anew only where the folder has changed: jobs ask for it several times each. */
  #names(): readonly string[] {
    const known = this.#listing;
    const changedNs = statSync(this.#folder, { bigint: true }).mtimeNs;
    if (known?.isSettled === true && known.changedNs === changedNs) return known.names;
    const isSettled = BigInt(Date.now()) * 1_000_000n - changedNs > CLOCK_STEP_NS;
    const names = readdirSync(this.#folder).filter((name) => name.endsWith(SUFFIX));
    this.#forgetMissing(names);
    this.#listing = { names, changedNs, isSettled };
    return names;
  }

  #neighbour(name: string): Neighbour | undefined {
    const path = join(this.#folder, name);
    if (path === this.#path) return undefined;
    const stored = this.#read(path);
    if (stored === undefined) return undefined;
    const ageMs = this.#nowMs() - stored.atMs;
    if (stored.owner.namespace !== this.#namespace) return ageMs < STALE_MS ? stored : undefined;
    if (ageMs >= SURELY_ALIVE_MS && !isAlive(stored.owner)) {
      rmSync(path, { force: true });
      this.#forget(path);
      return undefined;
    }
    return whileSilent(stored, ageMs);
  }

  /** The last whole record; undefined when there was none yet, or it is none of ours. */
  #read(path: string): Stored | undefined {
    const other = this.#others.get(path) ?? { file: new CachedFile(path), text: "", last: undefined };
    this.#others.set(path, other);
    for (let read = 0; read < READS; read += 1) {
      try {
        const text = other.file.read();
        if (text === other.text) break;
        const stored = record.parse(JSON.parse(text));
        if (stored.write !== stored.written) continue;
        other.last = stored;
        other.text = text;
        break;
      } catch {
        // Being written, or gone since: read again; then what it said before still stands.
      }
    }
    return other.last;
  }

  #forgetMissing(names: readonly string[]): void {
    const present = new Set(names.map((name) => join(this.#folder, name)));
    for (const path of [...this.#others.keys()]) if (!present.has(path)) this.#forget(path);
  }

  #forget(path: string): void {
    this.#others.get(path)?.file.close();
    this.#others.delete(path);
  }

  /** A machine whose ledger cannot be shared is governed by measurement alone; that is said once. */
  #attempt<T>(what: string, work: () => T): T | undefined {
    try {
      const done = work();
      this.#fault = "";
      return done;
    } catch (error) {
      const fault = `${what}: ${messageOf(error)}`;
      if (fault !== this.#fault) {
        this.#logger.warn({ err: error, folder: this.#folder }, `ledger of this machine ${what}`);
      }
      this.#fault = fault;
      return undefined;
    }
  }
}

/** What still counts of a worker that lives and has not written for so long. */
function whileSilent(stored: Stored, silentMs: number): Stored | undefined {
  if (silentMs < STALE_MS) return stored;
  return silentMs < LOST_MS ? { ...stored, cpuCores: 0, processes: 0, isEnding: false, starvedMs: 0 } : undefined;
}

/** The clock that all processes since the last start of the machine share, in ms. */
function machineMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

function pidNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return "unknown"; // not Linux: process numbers of one machine mean the same to all
  }
}
