/** What the classifier sees of bytes: each three in a row, hashed. The exported graph computes the very same numbers. */
import { WINDOW_BYTES } from "./kinds.ts";

export const BUCKETS = 8_192;
/** Weights of the three bytes in the hash: primes, so that neighbours fall apart. */
export const MIX = [7_919, 263, 31] as const;

/** Buckets of the trigrams of a head; one at least, so that a mean is defined. */
export function trigramsOf(bytes: Uint8Array): Int32Array {
  const head = new Uint8Array(WINDOW_BYTES);
  head.set(bytes.subarray(0, WINDOW_BYTES));
  const buckets: number[] = [];
  for (let at = 0; at + 2 < WINDOW_BYTES; at++) {
    const [a = 0, b = 0, c = 0] = [head[at], head[at + 1], head[at + 2]];
    // The third byte 0 is padding, as it is in the graph.
    if (c !== 0) buckets.push((a * MIX[0] + b * MIX[1] + c * MIX[2]) % BUCKETS);
  }
  return Int32Array.from(buckets.length === 0 ? [0] : buckets);
}
