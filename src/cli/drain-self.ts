/** Drains the worker behind an operations port of this machine, as a preStop hook does: no Redis and no store needed. */
import { InfrastructureError, InvalidInputError, messageOf } from "../contract/errors.ts";
import { plural } from "./format.ts";
import { print, printJson, say, type Io } from "./io.ts";
import { parsePort } from "./services.ts";

/** One request waits for so long; then the next one does. */
const WAIT_SECONDS = 10;

export interface DrainSelf {
  readonly opsPort?: string;
  readonly undo?: boolean;
  readonly detach?: boolean;
  readonly json?: boolean;
  readonly graceMs: number | null;
}

interface Progress {
  readonly state: string;
  readonly running: number;
  readonly handBackInMs: number | null;
}

/** Asks, and waits until nothing is held. @throws {InfrastructureError} when nobody answers there as a worker does */
export async function drainSelf(io: Io, { opsPort, undo, detach, json, graceMs }: DrainSelf): Promise<void> {
  const port = parsePort(opsPort, "--ops-port", 0);
  if (port === 0) {
    throw new InvalidInputError("command line", [
      { where: "--ops-port", expected: "the operations port of the worker (or HEADROOM_OPS_PORT)", found: "none" },
    ]);
  }
  const url = `http://127.0.0.1:${port}/drain`;
  const grace = graceMs === null ? "" : `&grace=${graceMs / 1_000}`;
  const wait = detach === true ? 0 : WAIT_SECONDS;
  for (;;) {
    const progress = await (undo === true ? ask(url, "DELETE") : ask(`${url}?wait=${wait}${grace}`, "POST"));
    if (progress.state !== "draining" || detach === true) {
      if (json === true) printJson(io, progress);
      else print(io, `the worker is ${progress.state}, it holds ${plural(progress.running, "job")}`);
      return;
    }
    say(io, `the worker holds ${plural(progress.running, "job")}`);
  }
}

async function ask(url: string, method: "POST" | "DELETE"): Promise<Progress> {
  const failed = (found: string, cause?: unknown) =>
    new InfrastructureError(`expected a worker to answer ${method} ${url}, found ${found}`, { cause });
  const response = await fetch(url, { method, signal: AbortSignal.timeout(2 * WAIT_SECONDS * 1_000) }).catch(
    (error: unknown) => {
      throw failed(messageOf(error), error);
    },
  );
  if (!response.ok) throw failed(`status ${response.status}: ${(await response.text()).trim()}`);
  return (await response.json()) as Progress;
}
