/** The token that a claimed job is locked with: it names the worker and the time of the claim. */

/** A token of its own for each claim of a worker. */
export function lockToken(workerId: string, claimedAtMs: number, claim: number): string {
  return `${workerId}:${claimedAtMs.toString(36)}:${claim}`;
}

/** Who claimed with this token, and when by its clock; time 0 for a text that is no token. */
export function parseToken(token: string): { readonly workerId: string; readonly claimedAtMs: number } {
  const [, workerId = "", claimedAt = "0"] = /^(.*):([0-9a-z]+):\d+$/.exec(token) ?? [];
  return { workerId, claimedAtMs: Number.parseInt(claimedAt, 36) };
}
