/**
 * 200 mixed jobs for a machine of 4 GiB: seven kinds, peaks of 50 to 2,400 MiB, memory flat, rising, or late in life. The
 * same mix as in the research on the governor, times scaled by 0.2. With the makespan of schedulers that know the peaks.
 */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface LoadJob {
  readonly kind: string;
  /** Size of its input, in KiB. */
  readonly size: number;
  readonly peakMb: number;
  readonly seconds: number;
  /** `lying`: little until the last third of its life, then all of it at once. */
  readonly shape: "flat" | "ramp" | "late" | "lying";
}

interface Kind {
  readonly weight: number;
  readonly baseMb: number;
  readonly mbPerSize: number;
  readonly sizes: readonly [number, number];
  readonly noise: number;
  readonly seconds: readonly [number, number];
  readonly shape: LoadJob["shape"];
}

const TIME_SCALE = 0.2;
const MOST_MB = 2_400;

export const kinds: Readonly<Record<string, Kind>> = {
  thumb: { weight: 50, baseMb: 40, mbPerSize: 0.3, sizes: [20, 120], noise: 0.1, seconds: [3, 8], shape: "flat" },
  parse: { weight: 40, baseMb: 60, mbPerSize: 1, sizes: [50, 500], noise: 0.1, seconds: [6, 20], shape: "ramp" },
  etl: { weight: 35, baseMb: 150, mbPerSize: 1.5, sizes: [100, 500], noise: 0.15, seconds: [10, 30], shape: "ramp" },
  ocr: { weight: 25, baseMb: 300, mbPerSize: 0.5, sizes: [50, 400], noise: 0.1, seconds: [10, 25], shape: "late" },
  video: { weight: 20, baseMb: 500, mbPerSize: 0.6, sizes: [200, 1000], noise: 0.12, seconds: [25, 60], shape: "flat" },
  train: { weight: 12, baseMb: 1200, mbPerSize: 0.8, sizes: [100, 900], noise: 0.05, seconds: [30, 60], shape: "late" },
  io: { weight: 18, baseMb: 80, mbPerSize: 0.1, sizes: [10, 100], noise: 0.1, seconds: [15, 40], shape: "flat" },
};

/** What somebody would declare who wants no job of a kind ever to be ended: its largest input, and all its noise. */
export function declaredMb(kind: string): number {
  const { baseMb, mbPerSize, sizes, noise } = kindOf(kind);
  return Math.min(MOST_MB, (baseMb + mbPerSize * sizes[1]) * (1 + 2.5 * noise));
}

function kindOf(name: string): Kind {
  const kind = kinds[name];
  if (kind === undefined) throw new Error(`expected a kind of job, found ${name}`);
  return kind;
}

export function createLoad(random: () => number, count: number): LoadJob[] {
  const normal = () => Math.sqrt(-2 * Math.log(random() + 1e-12)) * Math.cos(2 * Math.PI * random());
  const weights = Object.values(kinds).reduce((sum, { weight }) => sum + weight, 0);
  return Array.from({ length: count }, () => {
    let left = random() * weights;
    const name = Object.keys(kinds).find((kind) => (left -= kindOf(kind).weight) <= 0) ?? "io";
    const { baseMb, mbPerSize, sizes, noise, seconds, shape } = kindOf(name);
    const share = random();
    const size = sizes[0] + (sizes[1] - sizes[0]) * share;
    const peak = (baseMb + mbPerSize * size) * Math.max(0.5, 1 + noise * normal());
    const took = seconds[0] + (seconds[1] - seconds[0]) * (0.7 * share + 0.3 * random());
    return { kind: name, size, peakMb: Math.min(MOST_MB, Math.max(30, peak)), seconds: took * TIME_SCALE, shape };
  });
}

/** The largest that a machine of 4 GiB runs beside the worker. */
const LARGEST_MB = 3_600;

/** 3 % of the jobs take 2.5 times as much as others of their kind and size, and nobody can know which. */
export function withStrange(jobs: readonly LoadJob[]): LoadJob[] {
  return jobs.map((job, at) => {
    return at % 33 === 7 ? { ...job, peakMb: Math.min(LARGEST_MB, 2.5 * job.peakMb) } : job;
  });
}

/** Half of the jobs are of three kinds that take twice as much as before. */
export function withChanged(jobs: readonly LoadJob[]): LoadJob[] {
  const changed = new Set(["parse", "etl", "ocr"]);
  return jobs.map((job) => (changed.has(job.kind) ? { ...job, peakMb: 2 * job.peakMb } : job));
}

/** A job as a program: it reads what to do from the head of its input, and holds one piece of memory for each MiB. */
const PROGRAM = `#!/usr/bin/perl
use strict; use Time::HiRes qw(time sleep);
open(my $in, '<', $ARGV[0]) or die; my ($peak, $shape, $seconds) = split ' ', scalar <$in>; close $in;
my ($start, @held) = (time); my $base = $peak * 0.3 < 60 ? $peak * 0.3 : 60;
sub least { $_[0] < $_[1] ? $_[0] : $_[1] }
while ((my $p = (time() - $start) / $seconds) < 1) {
  my $mb = $shape eq 'flat' ? $base + ($peak - $base) * least($p / 0.08, 1)
    : $shape eq 'ramp' ? $base + ($peak - $base) * least($p / 0.7, 1)
    : $shape eq 'lying' ? ($p < 2 / 3 ? $base : $peak)
    : $p < 0.55 ? $base + ($peak * 0.45 - $base) * least($p / 0.1, 1)
    : $peak * 0.45 + $peak * 0.55 * least(($p - 0.55) / 0.12, 1);
  while (@held < $mb) { my $piece = chr(65 + @held % 26) x 1048576; push @held, \\$piece; }
  sleep 0.02;
}
`;

export interface WrittenJob extends LoadJob {
  readonly command: readonly [string, string];
}

/** Writes a program per kind below `bin`, and below `folder` an input per job of the size that it says, by kind. */
export function writeLoad(bin: string, folder: string, jobs: readonly LoadJob[]): WrittenJob[] {
  mkdirSync(bin, { recursive: true });
  for (const kind of new Set([...Object.keys(kinds), ...jobs.map((job) => job.kind)])) {
    mkdirSync(join(folder, kind), { recursive: true });
    writeFileSync(join(bin, kind), PROGRAM);
    chmodSync(join(bin, kind), 0o755);
  }
  return jobs.map((job, at) => {
    const input = join(folder, job.kind, `job-${at}`);
    const head = `${job.peakMb.toFixed(0)} ${job.shape} ${job.seconds.toFixed(3)}\n`;
    writeFileSync(input, head.padEnd(Math.round(job.size * 1_024), "."));
    return { ...job, command: [join(bin, job.kind), input] };
  });
}

/** Seconds of the best of five list schedulers that know each peak and count it from start to end. */
export function oracleSeconds(jobs: readonly LoadJob[], roomMb: number): number {
  const area = (job: LoadJob) => job.peakMb * job.seconds;
  const orders: readonly ((a: LoadJob, b: LoadJob) => number)[] = [
    () => 0,
    (a, b) => area(b) - area(a),
    (a, b) => b.peakMb - a.peakMb,
    (a, b) => b.seconds - a.seconds,
    (a, b) => a.peakMb - b.peakMb,
  ];
  return Math.min(...orders.map((order) => listSeconds(jobs.toSorted(order), roomMb)));
}

function listSeconds(waiting: LoadJob[], roomMb: number): number {
  let running: { readonly endsAt: number; readonly peakMb: number }[] = [];
  let now = 0;
  while (waiting.length + running.length > 0) {
    let usedMb = running.reduce((sum, { peakMb }) => sum + peakMb, 0);
    waiting = waiting.filter((job) => {
      if (usedMb + job.peakMb > roomMb) return true;
      usedMb += job.peakMb;
      running.push({ endsAt: now + job.seconds, peakMb: job.peakMb });
      return false;
    });
    now = Math.min(...running.map(({ endsAt }) => endsAt));
    running = running.filter(({ endsAt }) => endsAt > now);
  }
  return now;
}
