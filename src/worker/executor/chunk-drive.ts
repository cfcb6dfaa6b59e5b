/**
 * Drives one chunk through the thread: prepares files, announces them, has them started one process at a time, and hands
 * what ended to the publisher, which works beside.
 *
 * A file is: waiting -> prepared (digest of the input, target claimed) -> announced (`starting`) -> launched -> ended ->
 * settled (a result, reused, fenced, or named in `notRun`). Preparation runs ahead of the process by one group, and ended
 * calls may pile up to MAX_BACKLOG before nothing more is started. A stop (abort, lost lease, a callback that failed) ends
 * what runs and starts nothing more; what had already ended well is still published, if permission comes in time.
 */
import { setImmediate } from "node:timers/promises";
import { faultsLine, messageOf } from "../../contract/errors.ts";
import type { FileEntry, FileResult } from "../../contract/files.ts";
import type { FailureClass } from "../../contract/outcomes.ts";
import type { PolicyDecision, PolicyGate } from "../../platform/policy-gate.ts";
import type { Step } from "../governor/step.ts";
import type { BinaryDigests } from "../result/digests.ts";
import type { Failure } from "../result/outcome.ts";
import type { Flusher } from "../result/publish.ts";
import { isFull } from "../result/room.ts";
import { isSuspect, lossesOf } from "../result/suspicion.ts";
import type { Call, ReadyInput } from "./call.ts";
import type { ChunkEnd, ChunkRequest } from "./chunk-request.ts";
import { Condition } from "./condition.ts";
import type { FileResults } from "./file-results.ts";
import { measureOf } from "./measure.ts";
import { Pace } from "./pace.ts";
import { openPreparer, type Preparation, type Preparer } from "./prepare.ts";
import { Publisher, startingOf, type ChunkHost } from "./publisher.ts";
import { sandboxFailure, type Enclosure } from "./sandbox.ts";
import type { Slot } from "./slot.ts";
import { workFolderFailure } from "./work-folder.ts";

/** A callback of the worker did not answer as it should; the chunk ends. */
export class HostRefusal extends Error {
  readonly isLeaseLost: boolean;

  constructor(message: string, isLeaseLost: boolean) {
    super(message);
    this.name = "HostRefusal";
    this.isLeaseLost = isLeaseLost;
  }
}

export interface DriveParts {
  readonly slot: Slot;
  readonly host: ChunkHost;
  readonly binaries: BinaryDigests;
  readonly flusher: Flusher;
  readonly gate: PolicyGate;
  /** Undefined: its processes are not shut in. */
  readonly enclosure: Enclosure | undefined;
  verdictOf(call: Call): Failure | null;
}

export type DriveEnd = Omit<ChunkEnd, "error"> & { readonly failure: string | undefined };

interface Stop {
  readonly kind: "aborted" | "lease-lost";
  readonly failure: string | undefined;
}

const MAX_BACKLOG = 128;
/** Entering a control group may take a process 10 ms. One of which nothing is known is worth that. */
const GROUP_FROM_MS = 250;
/** How long after a stop an answer to `mayPublish` is still waited for. */
const LAST_ANSWER_MS = 5_000;
/** Preparing files holds the thread no longer than about this, in bytes read. */
const YIELD_BYTES = 1024 * 1024;

export class ChunkDrive {
  readonly #request: ChunkRequest;
  readonly #policy: PolicyDecision;
  readonly #parts: DriveParts;
  readonly #changed = new Condition();
  readonly #pace = new Pace();
  readonly #results: FileResults;
  readonly #preparer: Preparer;
  readonly #publisher: Publisher;
  readonly #notRun: FileEntry[] = [];
  readonly #interrupted: FileEntry[] = [];
  readonly #postponed: FileEntry[] = [];
  /** Groups that one call is to be made for, when the command takes many files. */
  readonly #groups: ReadyInput[][] = [];
  readonly #stopped: Promise<never>;
  #giveUp: (error: Error) => void = () => undefined;
  #lastAnswer: NodeJS.Timeout | undefined;
  #stop: Stop | undefined;
  /** No further file is begun. */
  #isWindingDown = false;
  #isFed = false;
  #bytesSinceYield = 0;

  constructor(asked: ChunkRequest, parts: DriveParts) {
    this.#parts = parts;
    const { policy, request, results, preparer } = openPreparer(asked, parts);
    this.#policy = policy;
    this.#request = request;
    this.#results = results;
    this.#preparer = preparer;
    this.#stopped = new Promise((_resolve, reject) => (this.#giveUp = reject));
    // It matters only to who waits for an answer after a stop.
    this.#stopped.catch(() => undefined);
    this.#publisher = new Publisher({
      request,
      results: this.#results,
      host: {
        ...parts.host,
        mayPublish: (items) => Promise.race([parts.host.mayPublish(items), this.#stopped]),
      },
      changed: this.#changed,
      flusher: parts.flusher,
      gate: parts.gate,
      check: (argv, what) => parts.slot.check(argv, what),
      verdictOf: (call) => parts.verdictOf(call),
      takeApart: (call, failure) => this.#takeApart(call, failure),
      workFolderOf: (call) => call.places.folder?.path ?? parts.slot.folder,
      onPublished: (call) => this.#preparer.removeReplaced(call),
      isDraining: () => parts.slot.size === 0 && (this.#isFed || request.spec.perChunk),
    });
  }

  /** Runs the chunk to its end. Does not reject. */
  async run(): Promise<DriveEnd> {
    const publishing = this.#publisher.run().catch((error: unknown) => {
      this.#halt(error);
    });
    try {
      await this.#feed();
    } catch (error) {
      this.#halt(error);
    }
    this.#isFed = true;
    await this.#changed.until(() => this.#parts.slot.size === 0);
    this.#publisher.close();
    await publishing;
    this.#publisher.abandon();
    clearTimeout(this.#lastAnswer);
    this.#parts.slot.close();
    const { fenced, unsettled } = this.#publisher;
    const interrupted = [...this.#interrupted, ...unsettled];
    const notRun = [...this.#notRun, ...interrupted];
    const { suspendedMs } = this.#parts.slot;
    const kind = this.#stop?.kind ?? "done";
    return {
      ...{ kind, notRun, interrupted, postponed: this.#postponed, fenced, failure: this.#stop?.failure },
      ...(suspendedMs > 0 && { suspendedMs }),
    };
  }

  /** Ends what runs; `isSoft` lets that come to its end, and begins no further file. The others come back as not run. */
  abort(isSoft: boolean): void {
    this.#isWindingDown = true;
    if (isSoft) this.#changed.notify();
    else this.#stopWith({ kind: "aborted", failure: undefined });
  }

  /** Takes a step of the governor. A process that is ended fails its file for lack of memory. */
  enforce(step: Step): void {
    if (step.kind === "end") this.#parts.slot.evict(step);
    else if (step.pid !== undefined) this.#parts.slot.hold(step.kind, step.pid);
  }

  #halt(error: unknown): void {
    const isLeaseLost = error instanceof HostRefusal && error.isLeaseLost;
    this.#stopWith({ kind: isLeaseLost ? "lease-lost" : "aborted", failure: messageOf(error) });
  }

  #stopWith(stop: Stop): void {
    if (this.#stop !== undefined) return;
    this.#stop = stop;
    this.#parts.slot.abort();
    this.#lastAnswer = setTimeout(() => {
      this.#giveUp(new Error("no answer to whether outputs may be published"));
    }, LAST_ANSWER_MS);
    this.#changed.notify();
  }

  async #feed(): Promise<void> {
    const { files, spec } = this.#request;
    const failure = await this.#refusal();
    if (failure !== null) {
      this.#parts.host.results(files.map((file) => this.#results.notStarted(file, failure, null)));
      return;
    }
    await (spec.perChunk ? this.#feedJoined(files) : this.#feedEach(files));
  }

  /** Why no file of the chunk is run: not allowed here, or another binary than the pinned one. */
  async #refusal(): Promise<Failure | null> {
    if (this.#policy.kind === "refused") return { class: "policy", message: faultsLine(this.#policy.faults) };
    const { enclosure } = this.#parts;
    const failure = enclosure === undefined ? null : sandboxFailure(enclosure);
    if (failure !== null) return failure;
    const { folder } = this.#request.spec;
    const fault = folder === undefined ? null : workFolderFailure(folder);
    return fault ?? this.#preparer.checkBinaries(this.#policy.pins);
  }

  async #feedEach(files: readonly FileEntry[]): Promise<void> {
    let next = 0;
    while (next < files.length && this.#mayBegin()) {
      const group = files.slice(next, next + this.#groupSize(files, next));
      next += group.length;
      const calls: Call[] = [];
      for (const ready of await this.#prepare(group)) {
        const call = this.#roomFailure() ?? this.#preparer.callOf(ready);
        if ("class" in call) this.#parts.host.results([this.#results.notStarted(ready.file, call, ready.input)]);
        else calls.push(call);
      }
      await this.#start(calls);
    }
    this.#notRun.push(...files.slice(next));
  }

  /** Why a file is not begun now: the disk took no more a moment ago, and still has no room. */
  #roomFailure(): Failure | null {
    const { output } = this.#request.spec;
    if (!this.#publisher.sawFullDisk || output.from === "none" || !isFull(output.root)) return null;
    return { class: "infrastructure", isDiskFull: true, message: "no space left where the output goes: not started" };
  }

  /** How many files from `next` on go together; one that was there when something crashed goes alone. */
  #groupSize(files: readonly FileEntry[], next: number): number {
    if (this.#request.isOneByOne) return 1;
    const size = this.#pace.nextSize();
    for (let count = 0; count < size; count += 1) {
      if (isSuspect(files[next + count])) return Math.max(1, count);
    }
    return size;
  }

  async #feedJoined(files: readonly FileEntry[]): Promise<void> {
    const prepared = await this.#prepare(files);
    const reusable = await this.#preparer.reusableOf(prepared);
    if (reusable.size > 0) this.#parts.host.reused([...reusable].map(({ file }) => file.path));
    const ready = prepared.filter((one) => !reusable.has(one));
    this.#groups.push(ready.filter(({ file }) => lossesOf(file) === 0));
    for (const one of ready) if (lossesOf(one.file) > 0) this.#groups.push([one]);
    for (let group = this.#groups.shift(); group !== undefined; group = this.#groups.shift()) {
      const [first, ...rest] = group;
      if (first === undefined) continue;
      const call = this.#preparer.joinedCallOf([first, ...rest]);
      if ("class" in call) {
        this.#parts.host.results(group.map(({ file, input }) => this.#results.notStarted(file, call, input)));
        continue;
      }
      await this.#start([call]);
      await this.#changed.until(() => this.#parts.slot.size === 0 && this.#publisher.backlog === 0);
    }
  }

  /** Halves a failed call of many files, so that in the end only those fail that fail alone. */
  #takeApart(call: Call, { class: failureClass }: Failure): boolean {
    const end = call.end?.end;
    const isTooLong = end?.kind === "not-started" && end.errno === "E2BIG";
    if (!isTooLong && !takenApart.has(failureClass)) return false;
    const middle = Math.ceil(call.inputs.length / 2);
    this.#groups.unshift(call.inputs.slice(0, middle), call.inputs.slice(middle));
    return true;
  }

  async #prepare(files: readonly FileEntry[]): Promise<ReadyInput[]> {
    const ready: ReadyInput[] = [];
    const results: FileResult[] = [];
    const reused: string[] = [];
    for (const file of files) {
      const prepared = this.#mayBegin() ? await this.#prepareOne(file) : null;
      if (prepared === null) this.#notRun.push(file);
      else if (prepared.kind === "ready") ready.push(prepared.ready);
      else if (prepared.kind === "result") results.push(prepared.result);
      else if (prepared.kind === "postponed") this.#postponed.push(prepared.file);
      else reused.push(prepared.path);
    }
    if (results.length > 0) this.#parts.host.results(results);
    if (reused.length > 0) this.#parts.host.reused(reused);
    return ready;
  }

  async #prepareOne(file: FileEntry): Promise<Preparation> {
    this.#bytesSinceYield += file.bytes;
    if (this.#bytesSinceYield > YIELD_BYTES) {
      this.#bytesSinceYield = 0;
      await setImmediate();
    }
    try {
      return await this.#preparer.prepare(file, (argv, what) => this.#parts.slot.check(argv, what));
    } catch (error) {
      const failure = { class: "infrastructure", message: `could not prepare the file: ${messageOf(error)}` } as const;
      return { kind: "result", result: this.#results.notStarted(file, failure, null) };
    }
  }

  async #start(calls: readonly Call[]): Promise<void> {
    if (calls.length === 0) return;
    const { slot } = this.#parts;
    // One group may wait behind the one that runs; a file that goes alone is announced when it runs.
    const mostRunning = calls.length === 1 ? 0 : calls.length;
    await this.#changed.until(
      () => !this.#mayBegin() || (slot.size <= mostRunning && this.#publisher.backlog < MAX_BACKLOG),
    );
    if (this.#mayBegin()) await this.#announce(calls);
    for (const call of calls) {
      if (!this.#mayBegin()) this.#notRun.push(...call.inputs.map(({ file }) => file));
      else this.#launch(call);
    }
  }

  async #announce(calls: readonly Call[]): Promise<void> {
    try {
      await Promise.race([this.#parts.host.starting(calls.flatMap(startingOf)), this.#stopping()]);
    } catch (error) {
      this.#halt(error);
    }
  }

  #launch(call: Call): void {
    const printed = call.transcript ?? call.target;
    const isStdout = call.transcript !== null || this.#request.spec.output.from === "stdout";
    const output = { path: printed?.temp ?? null, isStdout };
    call.inGroup = (this.#pace.meanMs ?? this.#request.expectedMs ?? Infinity) >= GROUP_FROM_MS;
    this.#parts.slot.start(call, output, () => {
      this.#ended(call);
    });
  }

  async #stopping(): Promise<void> {
    await this.#changed.until(() => this.#stop !== undefined);
  }

  /** A question of its own, because the compiler takes what it saw before an `await` for granted. */
  #mayBegin(): boolean {
    return this.#stop === undefined && !this.#isWindingDown;
  }

  #ended(call: Call): void {
    const files = call.inputs.map(({ file }) => file);
    const launch = call.end;
    if (launch !== null && launch.startedUs > 0) {
      this.#pace.observe((launch.endedUs - launch.startedUs) / 1_000 - call.suspendedMs);
    }
    if (launch?.end.kind === "dropped") {
      this.#notRun.push(...files);
    } else if (call.stop === "aborted" && this.#parts.verdictOf(call) !== null) {
      this.#publisher.removeTemp(call);
      this.#interrupted.push(...files);
    } else {
      const measure = measureOf(call, this.#parts.verdictOf(call));
      if (measure !== undefined) this.#parts.host.measured(measure);
      this.#publisher.add(call);
    }
    this.#changed.notify();
  }
}

/** Failures of a call of many files that one of them alone may have caused. */
const takenApart: ReadonlySet<FailureClass> = new Set(["exit", "signal", "timeout", "bad-output", "out-of-memory"]);
