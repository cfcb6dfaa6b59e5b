/** The limits of a process, from the text of `/proc/PID/limits`. */

/** The soft limit of a name such as `Max open files`; Infinity when there is none, or no such line. */
export function softLimitOf(text: string, name: string): number {
  const line = text.split("\n").find((candidate) => candidate.startsWith(name));
  const value = Number(line?.slice(name.length).trim().split(/\s+/)[0]);
  return Number.isFinite(value) ? value : Infinity;
}
