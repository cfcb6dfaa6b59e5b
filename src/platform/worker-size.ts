/** What a worker is too small for, for ever: memory, or memory of a card. Pure. */
import type { WorkerHeartbeat } from "../contract/status.ts";

export interface LackedBytes {
  readonly of: "memory" | "card";
  readonly need: number;
  /** The most that a job could ever get there. */
  readonly have: number;
}

/** What one job asks for. Memory of a card counts for jobs that ask for a card, by the label `gpu`. */
interface SizedNeeds {
  readonly memoryBytes?: number | undefined;
  readonly gpuMemoryBytes?: number | undefined;
  readonly labels: readonly string[];
}

/** Empty where it would fit, or the worker does not tell how much it has. */
export function lackedBytes(
  { memoryBytes = 0, gpuMemoryBytes = 0, labels }: SizedNeeds,
  { largestJobBytes, largestCardBytes }: Pick<WorkerHeartbeat, "largestJobBytes" | "largestCardBytes">,
): readonly LackedBytes[] {
  const lacks: LackedBytes[] = [];
  const most = largestJobBytes ?? Infinity;
  if (memoryBytes > most) lacks.push({ of: "memory", need: memoryBytes, have: most });
  const card = labels.includes("gpu") ? (largestCardBytes ?? Infinity) : Infinity;
  if (gpuMemoryBytes > card) lacks.push({ of: "card", need: gpuMemoryBytes, have: card });
  return lacks;
}

interface Shortfall {
  readonly lacks: readonly LackedBytes[];
  /** Labels that it does not carry. */
  readonly missing?: readonly string[];
}

/** The one that lacks least: in number first, then by how far it goes. Undefined of none. */
export function nearestOf<T extends Shortfall>(all: readonly T[]): T | undefined {
  return all.toSorted((a, b) => countOf(a) - countOf(b) || reachOf(b.lacks) - reachOf(a.lacks))[0];
}

function countOf({ lacks, missing = [] }: Shortfall): number {
  return lacks.length + missing.length;
}

function reachOf(lacks: readonly LackedBytes[]): number {
  return Math.min(1, ...lacks.map(({ need, have }) => have / need));
}
