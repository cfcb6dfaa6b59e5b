/** Files of `/sys` that may be slow, forbidden or gone, read off the tick. */
import { readdir, readFile } from "node:fs/promises";

/** The names in a folder in order; none where it is not there, as on a machine without such devices. */
export async function listNames(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).toSorted();
}

/** The text of a file without the space around it; undefined when it is forbidden, asleep or gone. */
export async function readText(path: string): Promise<string | undefined> {
  const text = await readFile(path, "latin1").catch(() => undefined);
  return text?.trim();
}

/** A number from 0 that is all of the text; undefined when it is none. */
export function toAmount(text: string | undefined): number | undefined {
  const value = text === undefined || text === "" ? NaN : Number(text);
  return Number.isFinite(value) && value >= 0 ? value : undefined;
}
