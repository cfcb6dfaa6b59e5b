/** A chunk runner over a scratch folder: real processes, callbacks that keep what they were told. */
import { chmodSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Allow } from "../../src/contract/allow.ts";
import type { FileEntry, FileResult } from "../../src/contract/files.ts";
import { fsPath } from "../../src/contract/path-bytes.ts";
import type { RunSpecInput } from "../../src/contract/run-request.ts";
import { runSpec } from "../../src/contract/run-spec.ts";
import { systemClock } from "../../src/platform/clock.ts";
import {
  ChunkRunner,
  type ChunkEnd,
  type ChunkEvents,
  type ChunkRequest,
  type Publication,
  type Starting,
  type ProcessMeasure,
  type UsageSample,
} from "../../src/worker/executor/chunk-runner.ts";
import type { JobGroup } from "../../src/worker/governor/probes/job-group.ts";
import { quietLogger } from "./quiet-logger.ts";
import { Scratch } from "./scratch.ts";

export interface ChunkOptions {
  readonly spec?: Partial<Omit<RunSpecInput, "output">> & { readonly output?: Partial<RunSpecInput["output"]> };
  readonly request?: Partial<ChunkRequest>;
  readonly events?: Partial<ChunkEvents>;
  readonly signal?: AbortSignal;
}

export interface ChunkOutcome {
  readonly end: ChunkEnd;
  readonly results: ReadonlyMap<string, FileResult>;
  readonly starting: readonly Starting[];
  readonly publications: readonly Publication[];
  readonly reused: readonly string[];
  readonly usage: readonly UsageSample[];
  readonly measures: readonly ProcessMeasure[];
  /** The only result. @throws when there is not exactly one. */
  readonly only: FileResult;
}

export class ExecFixture implements AsyncDisposable {
  readonly scratch = new Scratch();
  readonly input = this.scratch.folder("in");
  readonly output = this.scratch.folder("out");
  readonly runner: ChunkRunner;
  #chunks = 0;

  /** `allowOf` gets the scratch folder, for rules about what lies in it. */
  private constructor(allowOf: (folder: string) => Allow, groups: JobGroup | undefined) {
    const config = { nice: 0, oomScoreAdj: 1_000, allow: allowOf(this.scratch.path), groups };
    this.runner = new ChunkRunner({ logger: quietLogger, clock: systemClock }, config);
  }

  static async open(allowOf: (folder: string) => Allow = () => ({}), groups?: JobGroup): Promise<ExecFixture> {
    const fixture = new ExecFixture(allowOf, groups);
    await fixture.runner.start();
    return fixture;
  }

  /** Writes input files; their entries, in order. */
  files(contents: Readonly<Record<string, string>>): FileEntry[] {
    return Object.entries(contents).map(([path, content], index) => {
      this.scratch.file(`in/${path}`, content);
      return { index, path, bytes: content.length };
    });
  }

  /** An executable shell script; its path. */
  script(body: string): string {
    return this.program(`#!/bin/sh\n${body}\n`);
  }

  program(content: string): string {
    const path = this.scratch.file(`bin/program-${++this.#chunks}`, content);
    chmodSync(path, 0o755);
    return path;
  }

  async run(
    command: readonly string[],
    files: readonly FileEntry[],
    options: ChunkOptions = {},
  ): Promise<ChunkOutcome> {
    const kept = {
      results: new Map<string, FileResult>(),
      starting: [] as Starting[],
      publications: [] as Publication[],
    };
    const reused: string[] = [];
    const usage: UsageSample[] = [];
    const measures: ProcessMeasure[] = [];
    const events: ChunkEvents = {
      starting: (started) => {
        kept.starting.push(...started);
        return Promise.resolve();
      },
      mayPublish: (items) => {
        kept.publications.push(...items);
        return Promise.resolve(items.map(() => true));
      },
      results: (results) => {
        for (const result of results) kept.results.set(result.path, result);
      },
      reused: (paths) => reused.push(...paths),
      usage: (sample) => usage.push(sample),
      measured: (measure) => measures.push(measure),
      ...options.events,
    };
    const end = await this.runner.run(this.request(command, files, options), events, options.signal ?? never);
    return {
      end,
      ...kept,
      reused,
      usage,
      measures,
      get only() {
        const [result, ...others] = kept.results.values();
        if (result === undefined || others.length > 0)
          throw new Error(`expected one result, found ${kept.results.size}`);
        return result;
      },
    };
  }

  request(command: readonly string[], files: readonly FileEntry[], options: ChunkOptions = {}): ChunkRequest {
    const number = ++this.#chunks;
    const { output, ...spec } = options.spec ?? {};
    return {
      chunkId: `chunk-${number}`,
      runId: "run-1",
      epoch: 0,
      workerId: "worker-1",
      token: `token-${number}`,
      spec: runSpec.parse({
        command: [...command],
        input: { kind: "tree", root: this.input },
        output: { root: this.output, from: "stdout", ...output },
        ...spec,
      }),
      files,
      known: new Map(),
      intents: new Map(),
      quarantined: new Set(),
      suspects: new Map(),
      isOneByOne: false,
      gpu: null,
      ...options.request,
    };
  }

  /** Names below the output folder, as bytes in latin1. */
  outputs(): string[] {
    return readdirSync(this.output, { encoding: "latin1", recursive: true }).sort();
  }

  read(path: string): string {
    return readFileSync(fsPath(join(this.output, path)), "utf8");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.runner.stop();
    this.scratch[Symbol.dispose]();
  }
}

const never = new AbortController().signal;

/** Processes whose environment or arguments hold a text; zombies have neither. */
export function processesWith(text: string): number[] {
  const found: number[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const said = readFileSync(`/proc/${pid}/environ`, "latin1") + readFileSync(`/proc/${pid}/cmdline`, "latin1");
      if (said.includes(text) && Number(pid) !== process.pid) found.push(Number(pid));
    } catch {
      // It ended while it was read.
    }
  }
  return found;
}
