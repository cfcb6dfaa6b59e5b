/** What the processes of a run are expected to take, and what is learned from them while they run and when they end. */
import type { FileCost } from "../../contract/chunking.ts";
import type { Expectation, ExpectationBasis } from "../../contract/expectation.ts";
import type { FileEntry } from "../../contract/files.ts";
import { bucketBytes, bucketOf, bucketWithin } from "../../contract/profiles.ts";
import type { RunSpec } from "../../contract/run-spec.ts";
import type { DriftTarget, RunAnomaly } from "../../contract/run-record.ts";
import { coverageOf, decideRunningAnomaly, type RunningFacts } from "../../platform/learned/anomaly.ts";
import { CALIBRATION_WEIGHT, isUnknown } from "../../platform/learned/calibration.ts";
import { classOf, type LearnedClass } from "../../platform/learned/class-key.ts";
import { ENOUGH } from "../../platform/learned/class-model.ts";
import { SHAPE_BINS, type Target } from "../../platform/learned/class-state.ts";
import { DriftWatch } from "../../platform/learned/drift-watch.ts";
import { expectationOf } from "../../platform/learned/expectation-of.ts";
import type { LearnedClasses } from "../../platform/learned/learned-classes.ts";
import { noteOf, retractionOf, type Measure, type Note } from "../../platform/learned/note.ts";
import type { LiveRun } from "../../platform/run-hash.ts";
import type { ProcessMeasure, UsageSample } from "../executor/chunk-request.ts";
import type { GpuMeter } from "./gpu-meter.ts";

/** Who is told of how well things were predicted. */
export interface LearnedListener {
  /** `ratio`: measured over the middle of what was expected. */
  predicted(run: LiveRun, guess: { target: Target; basis: ExpectationBasis; ratio: number }): void;
  /** Share of the last jobs of a class of this profile that stayed below what was expected. */
  covered(profile: string, ratio: number): void;
  anomaly(run: LiveRun, anomaly: RunAnomaly): void;
  /** The jobs of a class have come to take more than was learned; of memory it is learned anew. */
  drifted(run: LiveRun, target: DriftTarget): void;
}

type Classes = Pick<LearnedClasses, "load" | "refresh" | "peek" | "note" | "retract">;

/** Who knows what jobs were seen to hold of GPUs. */
type Gpus = Pick<GpuMeter, "peakOf">;
const noGpus: Gpus = { peakOf: () => undefined };

/** Weight of a new chunk in the means of this worker. */
const SMOOTHING = 0.3;
const MAX_RUNS = 256;
const MAX_INPUTS = 500;
/** A process that outgrew its expectation is noted again once it has grown by so much more. */
const GROWTH = 1.2;
/** Files whose memory differs by more than two size buckets (a doubling) do not share a chunk. */
const BUCKETS_PER_GROUP = 2;
/** A chunk of a model may last so many times the target, for it takes its files in batches. */
const INFER_CHUNK_SHARE = 25;
/** While nothing is known of its time, so many files are in a chunk of a model: all workers are to have some. */
const INFER_FIRST_FILES = 1_024;
/** One call takes all files of a chunk, whatever one of them takes. */
const NO_TIME_MS = 0.001;

/** Of a class of short processes, once it is known, one in so many is noted, for all of them: hundreds end in a second. */
const NOTED_IN = 8;
const SHORT_MS = 100;
const KNOWN_SAMPLES = 200;
/** Beyond so many times the memory that all but one in twenty take, each is noted. */
const FAR = 2;

/** The shape of a process that may take its peak at any time. */
const ALL_THE_TIME: readonly number[] = Array.from({ length: SHAPE_BINS }, () => 1);

/** The share that was covered is told after a job that was not, and now and then. */
const COVERAGE_EVERY_JOBS = 10;

interface RunFigures {
  readonly about: LearnedClass;
  chunkMsPerFile: number | undefined;
  /** What a file takes beyond its process, in ms. */
  overheadMs: number;
  /** Short processes that have ended since the last one that was noted. */
  unnoted: number;
  /** Mean size of the inputs, over the last of them, and how many that are. */
  usualBytes: number;
  inputs: number;
}

/** What was told and noted of the process that a job runs now. */
interface Observed {
  readonly pid: number;
  readonly told: Set<Target>;
  notedBytes: number;
  notedGpuBytes: number;
  note: Note | undefined;
}

export class LearnedRuns {
  readonly #classes: Classes;
  readonly #listener: LearnedListener;
  readonly #gpus: Gpus;
  readonly #runs = new Map<string, RunFigures>();
  readonly #known = new WeakMap<RunSpec, LearnedClass>();
  readonly #observed = new Map<string, Observed>();
  readonly #drifts = new DriftWatch();
  #learned = 0;

  constructor(classes: Classes, listener: LearnedListener, gpus: Gpus = noGpus) {
    this.#classes = classes;
    this.#gpus = gpus;
    this.#listener = listener;
  }

  /** Resolves once what is known of the run's class has been asked for. */
  async ready(run: LiveRun): Promise<void> {
    if (isLearned(run.spec)) await this.#classes.load(this.#of(run).about);
  }

  /** Asks anew for what all workers know of the run's class. */
  async refresh(run: LiveRun): Promise<void> {
    if (isLearned(run.spec)) await this.#classes.refresh(this.#of(run).about);
  }

  /** What one process over inputs of this size is expected to take; of a model its engine, whatever it is given. */
  expect(run: LiveRun, bytes: number, endedAtPeakBytes = 0): Expectation {
    const learned = isLearned(run.spec) ? this.#classes.peek(this.#of(run).about) : undefined;
    const inputBytes = run.spec.executor === "infer" ? 0 : bytes;
    return expectationOf({ profile: run.spec.resources, learned, inputBytes, endedAtPeakBytes });
  }

  /**
   * What a chunk is expected to take at any moment of its life: of several processes, one after the other, nobody knows
   * which one runs when. One alone is gone after its time, even where nobody knows yet when in it it takes what.
   */
  expectChunk(run: LiveRun, files: readonly FileEntry[]): Expectation {
    const endedAtBytes = Math.max(0, ...files.map((file) => file.endedAtBytes ?? 0));
    const expected = this.expect(run, largestInput(run, files), endedAtBytes);
    const isOne = files.length === 1 || run.spec.perChunk;
    return { ...expected, shape: isOne ? (expected.shape ?? ALL_THE_TIME) : undefined };
  }

  /** Memory that a process over this file is expected to take at most. */
  expectedBytes(run: LiveRun, { bytes, endedAtBytes }: FileEntry): number {
    return this.expect(run, bytes, endedAtBytes).memoryBytes.p95;
  }

  /**
   * Memory to ask for, for the processes of a chunk, one at a time: what they are expected to take at most. A guess that
   * no worker could admit is cut to the size bucket that the largest one can (`largestJobBytes`); what a person declared
   * is not.
   */
  chunkBytes(run: LiveRun, files: readonly FileEntry[], largestJobBytes: number): number {
    const wanted = this.expectChunk(run, files).memoryBytes.p95;
    if (bucketBytes(bucketOf(wanted)) <= largestJobBytes) return wanted;
    const most = bucketBytes(Math.max(0, bucketWithin(largestJobBytes)));
    return Math.min(wanted, Math.max(run.spec.resources.memoryBytes ?? 0, most));
  }

  /** What a file costs, as far as is known by now; its process and what is done around it. */
  costOf(run: LiveRun, entry: FileEntry): FileCost {
    const { chunkMsPerFile, overheadMs } = this.#of(run);
    if (run.spec.perChunk) return { ms: NO_TIME_MS, group: 0 };
    // A model takes many files at once: a chunk of few of them would make each of them dear.
    if (run.spec.executor === "infer") {
      const firstMs = run.spec.chunk.targetMs / INFER_FIRST_FILES;
      return { ms: chunkMsPerFile === undefined ? firstMs : chunkMsPerFile / INFER_CHUNK_SHARE, group: 0 };
    }
    if (run.spec.executor !== "process") return { ms: chunkMsPerFile, group: 0 };
    const { samples, durationMs, memoryBytes } = this.expect(run, entry.bytes, entry.endedAtBytes);
    const group = Math.floor(bucketOf(memoryBytes.p95) / BUCKETS_PER_GROUP);
    if (samples >= ENOUGH && durationMs !== undefined) return { ms: durationMs.p50 + overheadMs, group };
    return { ms: chunkMsPerFile ?? durationMs?.p50, group };
  }

  /** How long these files take one after the other, in ms; undefined while that is not known of each of them. */
  lastsMs(run: LiveRun, files: readonly FileEntry[]): number | undefined {
    let sum = 0;
    for (const file of files) sum += this.costOf(run, file).ms ?? NaN;
    return Number.isNaN(sum) ? undefined : sum;
  }

  /** Whether what a process of this run takes is a guess. One engine of a model has shown what all of them take. */
  isUnknown(run: LiveRun): boolean {
    if (run.spec.executor === "infer") return this.expect(run, 0).basis === "default";
    return run.spec.executor === "process" && isUnknown(this.expect(run, 0));
  }

  /** Whether anything is known of the time that a file takes. */
  isTimed(run: LiveRun): boolean {
    return run.spec.perChunk || this.costOf(run, { index: 0, path: "-", bytes: 0 }).ms !== undefined;
  }

  /**
   * How much work one process over so much input is, next to one over usual input: both by what is known now, so that it
   * stays the same when all of them get slower.
   */
  workOf(run: LiveRun, inputBytes: number): number {
    const figures = this.#of(run);
    figures.inputs = Math.min(MAX_INPUTS, figures.inputs + 1);
    figures.usualBytes += (inputBytes - figures.usualBytes) / figures.inputs;
    // Rounded, or each process would ask for a prediction of its own.
    const usual = this.expect(run, Number(figures.usualBytes.toPrecision(2))).durationMs?.p50;
    const own = this.expect(run, inputBytes).durationMs?.p50;
    return own === undefined || usual === undefined || usual <= 0 ? 1 : own / usual;
  }

  /** Learns from a process that has ended. */
  learn(run: LiveRun, jobId: string, measure: ProcessMeasure): void {
    const figures = this.#of(run);
    const { about } = figures;
    const observed = this.#observed.get(jobId);
    this.#observed.delete(jobId);
    figures.unnoted += 1;
    if (observed === undefined && this.#standsForNone(figures, measure)) return;
    const jobs = figures.unnoted;
    figures.unnoted = 0;
    if (observed?.note !== undefined) this.#classes.retract(about, retractionOf(observed.note));
    const model = this.#classes.peek(about);
    const expected = expectationOf({ profile: run.spec.resources, learned: model, inputBytes: measure.inputBytes });
    const gpuBytes = this.#gpus.peakOf(jobId) ?? null;
    const note = noteOf({ ...classMeasureOf(measure, jobs), gpuBytes }, model, expected);
    if (measure.end === "well") {
      this.#tellRatios(run, { ...measure, gpuBytes }, expected);
      for (const target of this.#drifts.note(about.key, measure, expected)) this.#listener.drifted(run, target);
    }
    const news = note.outliers.filter(({ target }) => observed?.told.has(target) !== true);
    for (const { target, value, expected: usual } of news) {
      this.#tell(run, measure.path, { target, value, expected: usual });
    }
    if (this.#classes.note(about, note)) this.#listener.drifted(run, "memory");
    this.#learned += 1;
    if (note.recent.coverage === "beyond" || this.#learned % COVERAGE_EVERY_JOBS === 0) this.#tellCovered(run, about);
  }

  /** Whether it is short, its class is known and it took nothing out of the way: the next that is noted stands for it. */
  #standsForNone({ about, unnoted }: RunFigures, measure: ProcessMeasure): boolean {
    const { end, durationMs, peakBytes, inputBytes } = measure;
    if (unnoted >= NOTED_IN || end !== "well" || durationMs >= SHORT_MS) return false;
    const usual = this.#classes.peek(about)?.predict(inputBytes);
    if (usual === undefined || usual.samples < KNOWN_SAMPLES) return false;
    return peakBytes <= FAR * usual.memoryBytes.p95;
  }

  #tellCovered(run: LiveRun, about: LearnedClass): void {
    const covered = coverageOf(this.#classes.peek(about)?.state.recent ?? []);
    if (covered !== undefined) this.#listener.covered(run.spec.profile, covered);
  }

  /** Learns from a process that runs: one that is beyond what was expected takes at least that. */
  observe(run: LiveRun, jobId: string, sample: UsageSample): void {
    const { inputBytes, rssBytes, elapsedMs } = sample;
    if (run.spec.executor === "infer") {
      this.#observeEngine(run, jobId, sample);
      return;
    }
    if (run.spec.executor !== "process" || inputBytes === null) return;
    const observed = this.#observedOf(jobId, sample);
    const expected = this.expect(run, inputBytes);
    this.#tellRunning(run, observed.told, { rssBytes, elapsedMs, expected });
    const gpuBytes = this.#gpus.peakOf(jobId) ?? 0;
    const { notedBytes, notedGpuBytes } = observed;
    const isBeyond = rssBytes > lineOf(notedBytes, expected.memoryBytes.p95);
    const isGpuBeyond = gpuBytes > lineOf(notedGpuBytes, expected.gpuMemoryBytes?.p95);
    if (!isBeyond && !isGpuBeyond) return;
    // What it has of the other so far is no news: it is not done growing, and would pass for little.
    const gpu = isGpuBeyond ? gpuBytes : notedGpuBytes;
    this.#noteRunning(run, observed, {
      ...{ inputBytes, rssBytes: isBeyond ? rssBytes : notedBytes, gpuBytes: gpu === 0 ? null : gpu, jobs: 0 },
    });
  }

  /**
   * An engine takes what its model takes, and has run its largest batch before its first file: one says enough. It is noted
   * for each chunk, so that what engines took long ago counts less.
   */
  #observeEngine(run: LiveRun, jobId: string, sample: UsageSample): void {
    const { rssBytes } = sample;
    const observed = this.#observedOf(jobId, sample);
    const gpuBytes = this.#gpus.peakOf(jobId) ?? null;
    const isGrown = rssBytes > GROWTH * observed.notedBytes || (gpuBytes ?? 0) > GROWTH * observed.notedGpuBytes;
    if (!isGrown) return;
    const jobs = observed.note === undefined ? 1 : 0;
    this.#noteRunning(run, observed, { inputBytes: 0, rssBytes, gpuBytes, jobs });
  }

  #observedOf(jobId: string, { pid }: UsageSample): Observed {
    const known = this.#observed.get(jobId);
    if (known?.pid === pid) return known;
    const observed = { pid, told: new Set<Target>(), notedBytes: 0, notedGpuBytes: 0, note: undefined };
    this.#observed.set(jobId, observed);
    return observed;
  }

  /** Notes how long a whole chunk took, which is what the size of the next one is made from. */
  learnChunk(run: LiveRun, files: readonly FileEntry[], ms: number): void {
    if (files.length === 0) return;
    const figures = this.#of(run);
    const perFile = ms / files.length;
    figures.chunkMsPerFile = mix(figures.chunkMsPerFile ?? perFile, perFile);
    if (run.spec.executor !== "process" || run.spec.perChunk) return;
    const inProcesses = files.reduce((sum, { bytes }) => sum + (this.expect(run, bytes).durationMs?.p50 ?? 0), 0);
    figures.overheadMs = mix(figures.overheadMs, Math.max(0, (ms - inProcesses) / files.length));
  }

  /** The job runs no process here any more. */
  forget(jobId: string): void {
    this.#observed.delete(jobId);
  }

  #noteRunning(
    run: LiveRun,
    observed: Observed,
    now: Pick<Measure, "inputBytes" | "gpuBytes" | "jobs"> & Pick<UsageSample, "rssBytes">,
  ): void {
    const { about } = this.#of(run);
    if (observed.note !== undefined) this.#classes.retract(about, retractionOf(observed.note));
    observed.notedBytes = now.rssBytes;
    observed.notedGpuBytes = now.gpuBytes ?? 0;
    observed.note = noteOf(
      {
        kind: "at-least",
        inputBytes: now.inputBytes,
        peakBytes: now.rssBytes,
        gpuBytes: now.gpuBytes,
        ...{ durationMs: 0, cpuMs: 0, ioBytes: null, shape: null, weight: 1, jobs: 1 },
      },
      this.#classes.peek(about),
      undefined,
    );
    this.#classes.note(about, { ...observed.note, jobs: now.jobs });
  }

  #tellRatios(run: LiveRun, measure: ProcessMeasure & Pick<Measure, "gpuBytes">, expected: Expectation): void {
    const { peakBytes, durationMs, gpuBytes } = measure;
    const { basis: ofMemory, memoryBytes, gpuMemoryBytes: gpu } = expected;
    const tell = (target: Target, ratio: number, basis = ofMemory) => {
      this.#listener.predicted(run, { target, basis, ratio });
    };
    if (gpuBytes !== null && gpu !== undefined) tell("gpu", gpuBytes / gpu.p50, gpu.basis);
    if (peakBytes > 0) tell("memory", peakBytes / memoryBytes.p50);
    const middle = expected.durationMs?.p50;
    if (middle !== undefined && middle > 0) tell("duration", durationMs / middle);
  }

  /** Says once of each process that it is beyond what its class takes, while it is not done. */
  #tellRunning(run: LiveRun, told: Set<Target>, now: RunningFacts & { expected: Expectation }): void {
    const { expected, rssBytes, elapsedMs } = now;
    if (expected.samples < ENOUGH) return;
    const target = decideRunningAnomaly(now, expected);
    if (target === undefined || told.has(target)) return;
    told.add(target);
    if (target === "memory") this.#tell(run, null, { target, value: rssBytes, expected: expected.memoryBytes.p50 });
    else this.#tell(run, null, { target, value: elapsedMs, expected: expected.durationMs?.p50 ?? 0 });
  }

  #tell(run: LiveRun, path: string | null, what: { target: Target; value: number; expected: number }): void {
    this.#listener.anomaly(run, { path, ...what });
  }

  #of(run: LiveRun): RunFigures {
    // The nodes of a flow are of classes of their own.
    const about = this.#classOf(run.spec);
    const key = `${run.runId} ${about.key}`;
    const known = this.#runs.get(key);
    if (known !== undefined) return known;
    if (this.#runs.size >= MAX_RUNS) this.#runs.clear();
    const figures: RunFigures = {
      about,
      chunkMsPerFile: undefined,
      overheadMs: 0,
      ...{ unnoted: 0, usualBytes: 0, inputs: 0 },
    };
    this.#runs.set(key, figures);
    return figures;
  }

  /** Told once of each specification: it takes a digest. */
  #classOf(spec: RunSpec): LearnedClass {
    const known = this.#known.get(spec);
    if (known !== undefined) return known;
    const about = classOf(spec);
    this.#known.set(spec, about);
    return about;
  }
}

/** Whether something of its own runs, whose memory can be told from that of others. */
function isLearned({ executor }: RunSpec): boolean {
  return executor === "process" || executor === "infer";
}

/** Beyond this a process that runs is noted, once more where it was before. */
function lineOf(notedBytes: number, expectedBytes = 0): number {
  return notedBytes > 0 ? GROWTH * notedBytes : expectedBytes;
}

/** Files of a run that calibrates are measured alone, and count for more. */
function classMeasureOf(measure: ProcessMeasure, jobs: number): Omit<Measure, "gpuBytes"> {
  const kind = measure.end === "well" ? "ended" : "at-least";
  return { ...measure, kind, weight: measure.isAlone ? CALIBRATION_WEIGHT : jobs, jobs };
}

function mix(before: number, now: number): number {
  return before + SMOOTHING * (now - before);
}

/** The most input that one process of a chunk has. */
function largestInput(run: LiveRun, files: readonly FileEntry[]): number {
  const sizes = files.map(({ bytes }) => bytes);
  return run.spec.perChunk ? sizes.reduce((sum, bytes) => sum + bytes, 0) : Math.max(0, ...sizes);
}
