/** What a command talks to: streams, environment, folder. Tests pass their own. */
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { styleFor, type Style } from "./style.ts";

export type OutputStream = Writable & { readonly isTTY?: boolean; readonly columns?: number };

export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Whether standard output failed with this last. Node takes back what the process's own has failed with (`errored`). */
  isOutputFailure?(error: unknown): boolean;
}

/** Results, for people or for pipes. */
export function print(io: Io, text: string): void {
  io.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
}

/** A piece of many, when there is room for it. @throws what the stream has failed with */
export async function writePiece(to: Writable, text: string): Promise<void> {
  if (to.errored !== null) throw to.errored;
  if (!to.write(text)) await once(to, "drain");
}

/** One object or array, for programs. */
export function printJson(io: Io, value: unknown): void {
  io.stdout.write(`${JSON.stringify(value, null, io.stdout.isTTY === true ? 2 : undefined)}\n`);
}

/** What is said beside the result. */
export function say(io: Io, text: string): void {
  io.stderr.write(`headroom: ${text}\n`);
}

export function outStyle(io: Io): Style {
  return styleFor(io.stdout, io.env);
}
