/**
 * Takes calls that ended, in batches: classifies them, examines and flushes what they wrote, asks for permission, renames,
 * and tells the results. Works beside the next processes; while one batch is on its way the next one gathers.
 */
import { closeSync } from "node:fs";
import { faultsLine } from "../../contract/errors.ts";
import type { FileEntry, FileResult, KeptFile } from "../../contract/files.ts";
import type { PolicyGate } from "../../platform/policy-gate.ts";
import {
  cutOutput,
  examineOutput,
  NOT_REMOVED,
  removeTempSync,
  renameOutput,
  type Flusher,
  type WholeOutput,
} from "../result/publish.ts";
import type { Failure } from "../result/outcome.ts";
import { takenBytes } from "../result/room.ts";
import type { Target } from "../result/target.ts";
import type { Call } from "./call.ts";
import type { ChunkRequest, ProcessMeasure, Publication, Starting } from "./chunk-request.ts";
import type { Condition } from "./condition.ts";
import { changeOf } from "./file-identity.ts";
import type { FileResults } from "./file-results.ts";
import { takeLeftFile } from "./left-file.ts";
import { Preparer, type RunCheck } from "./prepare.ts";

/** The worker's side of one chunk, as the thread sees it. */
export interface ChunkHost {
  starting(files: readonly Starting[]): Promise<void>;
  mayPublish(items: readonly Publication[]): Promise<readonly boolean[]>;
  results(results: readonly FileResult[]): void;
  reused(paths: readonly string[]): void;
  measured(measure: ProcessMeasure): void;
  warn(fields: Readonly<Record<string, string>>, text: string): void;
}

export interface PublisherParts {
  readonly request: ChunkRequest;
  readonly results: FileResults;
  readonly host: Pick<ChunkHost, "mayPublish" | "results" | "warn">;
  readonly changed: Condition;
  readonly check: RunCheck;
  readonly flusher: Flusher;
  readonly gate: PolicyGate;
  /** Why a call's process failed, or null. */
  verdictOf(call: Call): Failure | null;
  /** Takes a failed call of several files apart instead of failing them; whether it does. */
  takeApart(call: Call, failure: Failure): boolean;
  /** Where the process of a call worked. */
  workFolderOf(call: Call): string;
  /** The output of a call stands under its name. */
  onPublished(call: Call): Promise<void>;
  /** Nothing more will be started: do not wait for company. */
  isDraining(): boolean;
}

interface Written {
  readonly call: Call;
  readonly output: WholeOutput;
  /** What it printed, where that is kept beside its output. */
  readonly transcript?: WholeOutput | undefined;
  /** Why its call failed all the same: what an agent printed is kept in any case. */
  readonly failure?: Failure;
}

const MAX_BATCH = 64;
/** How long the first of a batch waits for others, in ms. */
const LINGER_MS = 50;

export class Publisher {
  /** Files whose publication was refused. */
  readonly fenced: FileEntry[] = [];
  /** Files whose output was dropped, because permission could not be asked for. */
  readonly unsettled: FileEntry[] = [];
  /** An output of this chunk did not fit: the next ones are only begun where there is room. */
  sawFullDisk = false;
  readonly #parts: PublisherParts;
  #ended: Call[] = [];
  #inHand = 0;
  #isDue = false;
  #isClosed = false;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
  }

  /** Calls that ended and have no result yet. */
  get backlog(): number {
    return this.#ended.length + this.#inHand;
  }

  add(call: Call): void {
    if (this.#ended.push(call) === 1) {
      setTimeout(() => {
        this.#isDue = true;
        this.#parts.changed.notify();
      }, LINGER_MS);
    }
    this.#parts.changed.notify();
  }

  /** No more calls will come. */
  close(): void {
    this.#isClosed = true;
    this.#parts.changed.notify();
  }

  /** Publishes until closed and empty. Rejects when permission cannot be asked for. */
  async run(): Promise<void> {
    const { changed } = this.#parts;
    for (;;) {
      await changed.until(() => this.#isReady() || this.#isClosed);
      if (this.#ended.length === 0) return;
      const batch = this.#ended.splice(0, MAX_BATCH);
      this.#isDue = this.#ended.length > 0;
      this.#inHand = batch.length;
      try {
        await this.#settle(batch);
      } finally {
        this.#inHand = 0;
        changed.notify();
      }
    }
  }

  /** Removes what the calls still waiting have written. */
  abandon(): void {
    for (const call of this.#ended.splice(0)) this.#drop(call, this.unsettled);
  }

  #isReady(): boolean {
    const { length } = this.#ended;
    return length >= MAX_BATCH || (length > 0 && (this.#isDue || this.#parts.isDraining()));
  }

  async #settle(batch: readonly Call[]): Promise<void> {
    const results: FileResult[] = [];
    const written: Written[] = [];
    for (const call of batch) {
      const verdict = await this.#examine(call);
      if (verdict === null) results.push(...this.#parts.results.succeeded(call, null));
      else if (!("class" in verdict)) written.push(verdict);
      else {
        const kept = await this.#transcriptOf(call, verdict);
        if (kept === null) this.#fail(call, verdict, results);
        else written.push(kept);
      }
    }
    try {
      if (written.length > 0) await this.#publish(written, results);
    } finally {
      if (results.length > 0) this.#parts.host.results(results);
    }
  }

  /** What the call wrote, null when nothing is kept, or why it failed. */
  async #examine(call: Call): Promise<Written | Failure | null> {
    const changed = this.#changeOf(call);
    const failure = this.#parts.verdictOf(call);
    // An input that changed explains any failure, but not the worker's own doing.
    if (changed !== null && call.stop === null) return changed;
    if (failure !== null) return failure;
    if (call.target === null) return null;
    const { output: rules } = this.#parts.request.spec;
    const output = (await this.#take(call)) ?? (await examineOutput(call.target.temp, rules));
    if ("class" in output) return output;
    if (call.transcript === null) return { call, output };
    cutOutput(call.transcript.temp, rules.maxBytes);
    const transcript = await examineOutput(call.transcript.temp, { ...rules, allowEmpty: true, json: false });
    if (!("class" in transcript)) return { call, output, transcript };
    closeSync(output.fd);
    return transcript;
  }

  /** Fetches what the call left where it worked; why that is no output, or null. */
  async #take(call: Call): Promise<Failure | null> {
    const { left, maxBytes } = this.#parts.request.spec.output;
    if (left === undefined || call.target === null) return null;
    const folder = this.#parts.workFolderOf(call);
    // As with outputs: links may have been changed while the process ran.
    const fault = call.places.folder === undefined ? undefined : this.#parts.gate.pathFault("read", folder);
    if (fault !== undefined) return { class: "policy", message: faultsLine([{ ...fault, where: "folder.path" }]) };
    // A process that found out the name may have put something there.
    this.#remove(call.target);
    return takeLeftFile({ folder, file: left.file, temp: call.target.temp, maxBytes });
  }

  /** What an agent printed before it failed, up to what may be kept: it is the output then. */
  async #transcriptOf(call: Call, failure: Failure): Promise<Written | null> {
    const { agent, output } = this.#parts.request.spec;
    const { end, transcript } = call;
    const wasStarted = end !== null && end.startedUs > 0;
    const kept = transcript === null ? call : { ...call, target: transcript, transcript: null };
    if (agent === undefined || kept.target === null || !wasStarted || failure.isDiskFull === true) return null;
    cutOutput(kept.target.temp, output.maxBytes);
    const whole = await examineOutput(kept.target.temp, { ...output, allowEmpty: false, json: false });
    if ("class" in whole) return null;
    if (transcript !== null) this.#remove(call.target);
    return { call: kept, output: whole, failure };
  }

  #changeOf(call: Call): Failure | null {
    for (const { input } of call.inputs) {
      const change = input.identity === null ? null : changeOf(input.path, input.identity);
      if (change !== null) return change;
    }
    return null;
  }

  /** Removes what a call wrote. @throws when a file cannot be removed */
  removeTemp({ target, transcript }: Call): void {
    this.#remove(target);
    this.#remove(transcript);
  }

  #remove(target: Target | null): void {
    const reason = target === null ? null : removeTempSync(target);
    if (target === null || reason === null) return;
    this.#parts.host.warn({ runId: this.#parts.request.runId, temp: target.temp, reason }, NOT_REMOVED);
  }

  #fail(call: Call, failure: Failure, results: FileResult[]): void {
    const taken = failure.isDiskFull && call.target !== null ? takenBytes(call.target.temp) : 0;
    this.sawFullDisk ||= failure.isDiskFull === true;
    this.removeTemp(call);
    if (call.inputs.length > 1 && this.#parts.takeApart(call, failure)) return;
    for (const input of call.inputs) results.push(this.#parts.results.failed(call, input, failure, taken));
  }

  async #publish(written: readonly Written[], results: FileResult[]): Promise<void> {
    const whole = await this.#flush(written, results);
    if (whole.length === 0) return;
    const allowed = await this.#ask(whole);
    const refused = this.#refusedFolders(whole);
    const renamed: Written[] = [];
    whole.forEach((one, at) => {
      const fault = allowed[at] === true ? (refused.get(one.call.target?.folder ?? "") ?? renameOf(one.call)) : null;
      if (allowed[at] !== true) this.#drop(one.call, this.fenced);
      else if (fault !== null) this.#fail(one.call, one.failure ?? fault, results);
      else renamed.push(one);
    });
    const folders = new Set(renamed.map(({ call }) => call.target?.folder ?? ""));
    const flushed = new Map(
      await Promise.all(
        [...folders].map(async (folder) => [folder, await this.#parts.flusher.flushFolder(folder)] as const),
      ),
    );
    for (const { call, output, transcript, failure } of renamed) {
      const fault = flushed.get(call.target?.folder ?? "") ?? null;
      const kept = { path: call.target?.relative ?? "", ...sizes(output) };
      if (fault !== null) this.#fail(call, failure ?? fault, results);
      else if (failure !== undefined) results.push(this.#parts.results.failedWith(call, failure, kept));
      else {
        results.push(...this.#parts.results.succeeded(call, kept, transcriptOf(call, transcript)));
        await this.#parts.onPublished(call);
      }
    }
  }

  /** Folders that lead out of what the operator allows by now: links may have been changed while the process ran. */
  #refusedFolders(whole: readonly Written[]): ReadonlyMap<string, Failure> {
    const refused = new Map<string, Failure>();
    for (const folder of new Set(whole.map(({ call }) => call.target?.folder ?? ""))) {
      const fault = this.#parts.gate.writeFault(folder);
      if (fault !== undefined) refused.set(folder, { class: "policy", message: faultsLine([fault]) });
    }
    return refused;
  }

  /** Checks and flushes; the outputs that are on disk. */
  async #flush(written: readonly Written[], results: FileResult[]): Promise<Written[]> {
    const command = this.#parts.request.spec.output.check;
    const failures = await Promise.all(
      written.map(async ({ call, output, transcript, failure }) => {
        const flushFailure = await this.#flushed([output, ...(transcript === undefined ? [] : [transcript])]);
        if (flushFailure !== null || command === undefined || failure !== undefined) return flushFailure;
        return this.#parts.check(Preparer.checkArgv(command, { output: call.target?.temp ?? "" }), "output");
      }),
    );
    return written.filter(({ call, failure }, at) => {
      const fault = failures[at] ?? null;
      if (fault !== null) this.#fail(call, failure ?? fault, results);
      return fault === null;
    });
  }

  async #flushed(outputs: readonly WholeOutput[]): Promise<Failure | null> {
    const faults = await Promise.all(outputs.map((output) => this.#parts.flusher.flushOutput(output)));
    return faults.find((fault) => fault !== null) ?? null;
  }

  async #ask(whole: readonly Written[]): Promise<readonly boolean[]> {
    try {
      return await this.#parts.host.mayPublish(whole.map(publicationOf));
    } catch (error) {
      for (const { call } of whole) this.#drop(call, this.unsettled);
      throw error;
    }
  }

  #drop(call: Call, into: FileEntry[]): void {
    this.removeTemp(call);
    into.push(...call.inputs.map(({ file }) => file));
  }
}

/** The output last: whoever finds it under its name finds the transcript beside it. */
function renameOf({ target, transcript }: Call): Failure | null {
  const fault = transcript === null ? null : renameOutput(transcript);
  return fault ?? (target === null ? null : renameOutput(target));
}

function transcriptOf({ transcript }: Call, whole: WholeOutput | undefined): KeptFile | undefined {
  return transcript === null || whole === undefined ? undefined : { path: transcript.relative, ...sizes(whole) };
}

function sizes({ bytes, sha256 }: WholeOutput): { bytes: number; sha256: string } {
  return { bytes, sha256 };
}

/** What the worker is told of a file whose process starts. Only the first file of a call carries its temporary file. */
export function startingOf(call: Call): Starting[] {
  return call.inputs.map(({ file, crashDigest }, at) => ({
    index: file.index,
    path: file.path,
    temp: at === 0 ? (call.target?.tempRelative ?? "") : "",
    crashDigest,
  }));
}

/** A digest of nothing for what is no result: whoever finds it there after this worker was lost must not take it for one. */
function publicationOf({ call, output, failure }: Written): Publication {
  const [{ file, crashDigest }] = call.inputs;
  return {
    index: file.index,
    path: file.path,
    temp: call.target?.tempRelative ?? "",
    crashDigest,
    target: call.target?.relative ?? "",
    ...sizes(output),
    ...(failure !== undefined && { sha256: "" }),
  };
}
