/** From what one job of a queue may take at most to what the rules are asked. Pure. */
import type { Expectation } from "../../contract/expectation.ts";
import type { Amounts } from "../../contract/resources.ts";
import { fitToCores } from "./admission.ts";
import type { Request } from "./admission-view.ts";
import { gpuWishOf } from "./gpu-tokens.ts";
import { learnedCores } from "./governor-view.ts";
import type { MemoryExpectation } from "./outlook.ts";
import { flatExpectation, memoryOverTime, type UsualJob } from "./self-tuning.ts";

export interface RequestFacts {
  readonly queue: string;
  readonly jobId?: string | undefined;
  readonly kind: string | undefined;
  readonly labels: readonly string[];
  readonly gpuMemoryBytes?: number | undefined;
  readonly cpuCores: number;
  /** What a person has set, if anything. */
  readonly maxProcesses: number | undefined;
}

/** `usualJob` is what the job of this queue that was claimed last was expected to take: the next one is probably like it. */
export function createRequest(need: Amounts, usualJob: UsualJob | undefined, facts: RequestFacts): Request {
  const { queue, jobId, kind, labels, gpuMemoryBytes, cpuCores, maxProcesses } = facts;
  const isInside = need.processes === 0;
  const about = { queue, jobId, kind, labels, isInside };
  const usual = usualJob?.expectation;
  if (isInside) return { ...about, need, memory: flatExpectation(need.memoryBytes), samples: undefined };
  const gpu = gpuWishOf(labels, usual?.gpuMemoryBytes);
  const cores = maxProcesses === undefined ? learnedCores(usual)?.p50 : undefined;
  return {
    need: fitToCores({ ...need, cpuCores: cores ?? need.cpuCores }, cpuCores, maxProcesses),
    ...about,
    lastsMs: usualJob?.lastsMs,
    ...(gpu !== undefined && { gpu, leastCardBytes: gpuMemoryBytes }),
    memory: candidateOf(usual, need.memoryBytes),
    samples: usual === undefined || usual.basis === "declared" ? undefined : usual.samples,
  };
}

/** Any job of a queue fits its promise; how likely, how long and when in its life it takes that is known from another. */
function candidateOf(usual: Expectation | undefined, promisedBytes: number): MemoryExpectation {
  if (usual === undefined) return flatExpectation(promisedBytes);
  const { memoryBytes, ...over } = memoryOverTime(usual);
  return { ...over, memoryBytes: { p50: Math.min(promisedBytes, memoryBytes.p50), p95: promisedBytes } };
}
