/** A question that only a person at a terminal answers. */
import { createInterface } from "node:readline";
import type { Io } from "../io.ts";

/** `nobody`: there is no terminal, so nobody was asked. */
export type Consent = "yes" | "no" | "nobody";

/** Asks; anything but y or yes is no, and so is the end of the input. */
export async function askPerson(io: Io, question: string, signal: AbortSignal): Promise<Consent> {
  if (io.stdin.isTTY !== true) return "nobody";
  io.stderr.write(`${question} [y/N] `);
  const lines = createInterface({ input: io.stdin, terminal: false });
  const close = (): void => {
    lines.close();
  };
  signal.addEventListener("abort", close, { once: true });
  try {
    for await (const line of lines) return /^y(?:es)?$/i.test(line.trim()) ? "yes" : "no";
    return "no";
  } finally {
    signal.removeEventListener("abort", close);
    close();
  }
}
