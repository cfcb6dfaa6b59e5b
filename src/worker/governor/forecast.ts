/**
 * Does a candidate fit beside the running jobs, over the whole of its life? Pure.
 *
 *   for 12 stretches of [0, d95(candidate)]:  min(S hi, S mid + z * sqrt(S ((hi - mid) / 1.645)^2)) <= H
 *
 * S is the sum over the running jobs and the candidate, of their envelopes (outlook.ts). The right side of the minimum is
 * a chance constraint: jobs that are independent do not all come to the 95th percentile of their peaks, and do not all
 * come to them at the worst moment that their durations allow (1.645 is the 95th percentile of the normal distribution; z
 * is tuned by risk.ts). H is the room of the tightest level (room.ts).
 * Stretches and not points: a job that grows and ends between two points would be in neither.
 */
import { envelopeOf, outlookOfCandidate, remainingMs } from "./outlook.ts";
import type { MemoryExpectation, Outlook } from "./outlook.ts";

export interface ForecastQuestion {
  readonly candidate: MemoryExpectation;
  readonly running: readonly Outlook[];
  /** What all jobs together may take (`roomOf`). */
  readonly usableBytes: number;
  readonly z: number;
}

export type Fit = { readonly kind: "fits"; readonly spareBytes: number } | Misfit;

/** What is lacking, and when it is worst. */
export interface Misfit {
  readonly kind: "lacks";
  /** In how many ms from now the lack is largest; 0 is now. */
  readonly atMs: number;
  readonly lackingBytes: number;
  /** What the candidate takes at that moment, and what would be there for it. */
  readonly needBytes: number;
  readonly haveBytes: number;
}

const STRETCHES = 12;
const P95_SIGMAS = 1.645;
/** How far ahead to look when nobody knows how long the candidate takes. */
const UNKNOWN_MS = 60_000;

/** Decides whether a candidate fits now and later, or says how much is lacking at the worst moment. */
export function decideFit(question: ForecastQuestion): Fit {
  const candidate = outlookOfCandidate(question.candidate);
  return fitOf(candidate, question);
}

function fitOf(candidate: Outlook, { running, usableBytes, z }: Omit<ForecastQuestion, "candidate">): Fit {
  const horizonMs = candidate.durationMs?.p95 ?? unknownHorizonMs(running);
  let worst: Misfit | undefined;
  let spareBytes = Infinity;
  for (let stretch = 0; stretch < STRETCHES; stretch += 1) {
    const fromMs = (horizonMs * stretch) / STRETCHES;
    const toMs = (horizonMs * (stretch + 1)) / STRETCHES;
    const needBytes = envelopeOf(candidate, fromMs, toMs).hiBytes;
    const spare = usableBytes - takenBytes(running, candidate, { fromMs, toMs, z });
    spareBytes = Math.min(spareBytes, spare);
    if (spare >= 0 || -spare <= (worst?.lackingBytes ?? 0)) continue;
    const haveBytes = Math.max(0, needBytes + spare);
    worst = { kind: "lacks", atMs: fromMs, lackingBytes: -spare, needBytes, haveBytes };
  }
  return worst ?? { kind: "fits", spareBytes };
}

/** What all take together in a stretch, with the certainty that z stands for. */
function takenBytes(
  running: readonly Outlook[],
  candidate: Outlook,
  { fromMs, toMs, z }: { fromMs: number; toMs: number; z: number },
): number {
  let high = 0;
  let middle = 0;
  let variance = 0;
  for (let at = -1; at < running.length; at += 1) {
    const outlook = at < 0 ? candidate : running[at];
    if (outlook === undefined || outlook.hiBytes <= 0) continue;
    const { hiBytes, midBytes } = envelopeOf(outlook, fromMs, toMs);
    const sigma = (hiBytes - midBytes) / P95_SIGMAS;
    high += hiBytes;
    middle += midBytes;
    variance += sigma * sigma;
  }
  return Math.min(high, middle + z * Math.sqrt(variance));
}

function unknownHorizonMs(running: readonly Outlook[]): number {
  return running.reduce((most, outlook) => Math.max(most, remainingMs(outlook, "almost-sure") ?? 0), UNKNOWN_MS);
}
