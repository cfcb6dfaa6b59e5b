/** The file systems that jobs write to: the scratch folder always, an output folder from its first job on. */
import { VolumeProbe, type HangingVolumes, type AskFileSystem, type Volume } from "./probes/volume.ts";
import { ProbeRunner, type ProbeStatus } from "./probes/probe-runner.ts";

/** A volume, and what for. */
export interface WatchedVolume extends Volume {
  readonly use: "scratch" | "output";
}

interface Watched {
  readonly use: WatchedVolume["use"];
  readonly runner: ProbeRunner<Volume>;
  usedAtMs: number;
}

/** A folder that no job has written to for this long is not looked at any more. */
const FORGET_MS = 600_000;
/** Runs may each have a folder of their own: the ones used last are looked at. */
const MOST_WATCHED = 16;

export class Volumes {
  readonly #hanging: HangingVolumes = new Set();
  readonly #ask: AskFileSystem | undefined;
  readonly #watched = new Map<string, Watched>();

  constructor(scratch: string, ask?: AskFileSystem) {
    this.#ask = ask;
    this.#watch(scratch, "scratch", Infinity);
  }

  /** A job writes below this folder: it is looked at from now on. */
  use(path: string, nowMs: number): void {
    const known = this.#watched.get(path);
    if (known !== undefined) known.usedAtMs = Math.max(known.usedAtMs, nowMs);
    else this.#watch(path, "output", nowMs);
  }

  poll(nowMs: number): void {
    for (const [path, watched] of this.#watched) {
      if (nowMs - watched.usedAtMs > FORGET_MS) this.#forget(path);
      else watched.runner.poll(nowMs);
    }
  }

  /** Those that are known now. */
  latest(nowMs: number): readonly WatchedVolume[] {
    return [...this.#watched.values()].flatMap(({ use, runner }) => {
      const volume = runner.latest(nowMs);
      return volume === undefined ? [] : [{ ...volume, use }];
    });
  }

  statuses(nowMs: number): readonly ProbeStatus[] {
    return [...this.#watched.values()].map(({ runner }) => runner.status(nowMs));
  }

  close(): void {
    for (const { runner } of this.#watched.values()) runner.close();
  }

  #watch(path: string, use: WatchedVolume["use"], usedAtMs: number): void {
    if (this.#watched.size >= MOST_WATCHED) {
      const [oldest] = [...this.#watched].toSorted(([, a], [, b]) => a.usedAtMs - b.usedAtMs);
      if (oldest !== undefined) this.#forget(oldest[0]);
    }
    const runner = new ProbeRunner(new VolumeProbe(path, this.#hanging, this.#ask));
    this.#watched.set(path, { use, runner, usedAtMs });
  }

  #forget(path: string): void {
    this.#watched.get(path)?.runner.close();
    this.#watched.delete(path);
  }
}
