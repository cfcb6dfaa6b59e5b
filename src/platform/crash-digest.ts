/** What a crash is counted by, wherever it is counted, read or forgiven. */
import type { Redis } from "ioredis";
import { createHash } from "node:crypto";
import { keys } from "../contract/queues.ts";

/** What a process was made of. */
export interface CrashIdentity {
  readonly binarySha256: string | null;
  readonly argsSha256: string | null;
  readonly inputSha256: string | null;
}

/**
 * What crashes are counted by: this binary on this input, whatever the run. The arguments belong to the binary: for a
 * shell or another interpreter they are the program, and they name the binary where it may be run but not read. Undefined
 * while another digest is not known.
 */
export function crashDigest({ binarySha256, argsSha256, inputSha256 }: CrashIdentity): string | undefined {
  if (argsSha256 === null || inputSha256 === null) return undefined;
  return createHash("sha256")
    .update(`${binarySha256 ?? "unread"}:${argsSha256}:${inputSha256}`)
    .digest("hex");
}

/** Forgets the crashes of what has these digests. */
export async function forgiveCrashes(redis: Redis, kp: string, digests: readonly string[]): Promise<void> {
  if (digests.length === 0) return;
  await redis.hdel(keys.crashes(kp), ...digests);
  await redis.hdel(keys.losses(kp), ...digests);
}
