/**
 * Puts calls that become ready together into one job, as small files go into one chunk: an admission, a claim, a row and an
 * end cost the same for one as for many. They run one after the other there, so only short ones go together: those that
 * depend on the first wait for the last. Pure.
 */
import { Chunker, type FileCost } from "../../contract/chunking.ts";
import type { CallToAdd } from "../job-queues.ts";
import { splitSpec, type SplitSpec } from "./call-spec.ts";

/** What a call is expected to take. */
export interface CallCost extends FileCost {
  readonly memoryBytes: number;
}

/** A call with its specification in two parts. */
export interface SplitCall extends CallToAdd {
  readonly split: SplitSpec;
}

/** How long the calls of one job may take, one after the other. */
const TARGET_MS = 25;
const MAX_CALLS = 512;
const limits = { maxFiles: MAX_CALLS, maxBytes: Number.MAX_SAFE_INTEGER, targetMs: TARGET_MS };

/**
 * The jobs for these calls. Only those of one binary and one profile, with the same limits and rules, go together, and of
 * these only what is expected to need about the same memory. The one that needs the most comes first: room for it is room
 * for each.
 */
export function groupCalls(calls: readonly CallToAdd[], costOf?: (call: CallToAdd) => CallCost): SplitCall[][] {
  const whole = calls.map((call): SplitCall => ({ ...call, split: splitSpec(call.spec) }));
  if (costOf === undefined) return whole.map((call) => [call]);
  const kinds = new Map<string, SplitCall[]>();
  for (const call of whole) {
    const kind = kinds.get(call.split.own.b);
    if (kind === undefined) kinds.set(call.split.own.b, [call]);
    else kind.push(call);
  }
  return [...kinds.values()].flatMap((kind) => chunksOf(kind, costOf));
}

function chunksOf(kind: readonly SplitCall[], costOf: (call: CallToAdd) => CallCost): SplitCall[][] {
  const judged = kind.map((call) => ({ call, cost: costOf(call) }));
  // One of which no time is known may take any: it goes alone.
  const timeOf = ({ ms, group }: FileCost): FileCost => ({ ms: ms !== undefined && ms > 0 ? ms : Infinity, group });
  const chunker = new Chunker(limits, ({ index }) => timeOf(judged[index]?.cost ?? { ms: undefined, group: 0 }));
  const chunks = judged.flatMap(({ call }, index) => chunker.add({ index, path: call.path, bytes: 0 }));
  return [...chunks, ...chunker.flush()].map((chunk) =>
    chunk
      .flatMap(({ index }) => judged[index] ?? [])
      .toSorted((a, b) => b.cost.memoryBytes - a.cost.memoryBytes)
      .map(({ call }) => call),
  );
}
