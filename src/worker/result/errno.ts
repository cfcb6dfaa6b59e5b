/** The error code of a failed system call. */

/** `ENOENT` and the like, or the message of anything that carries no code. */
export function errnoOf(error: unknown): string {
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return error instanceof Error ? error.message : String(error);
}
