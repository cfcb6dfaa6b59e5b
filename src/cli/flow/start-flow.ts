/** Starts a flow that is allowed and has all its inputs, and follows it to its end. */
import { join } from "node:path";
import type { CheckedFlow } from "../../contract/flow-check.ts";
import type { Config } from "../../contract/config.ts";
import type { InputValue } from "../../contract/flow-inputs.ts";
import { parseNodePath } from "../../contract/flow-run.ts";
import type { Outcome } from "../../contract/outcomes.ts";
import type { RunStatus } from "../../contract/status.ts";
import type { PlanOrigin } from "../../contract/stored-plan.ts";
import type { Store } from "../../store/store.ts";
import type { Io } from "../io.ts";
import { resolveFrom } from "../../platform/current-folder.ts";
import { programsOf } from "../../platform/flow/programs.ts";
import { RUNS_FOLDER } from "./open-flow.ts";
import { resolveBinary } from "../run/binary.ts";
import { runStarted } from "../run/session.ts";
import type { RunFlags } from "../run-flags.ts";
import type { Place } from "../settings.ts";

/** Where the folders of runs are made when nobody says it. */

/** A flow that is allowed and has all its inputs. */
export interface FlowStart {
  readonly flow: CheckedFlow;
  readonly inputs: Readonly<Record<string, InputValue>>;
  readonly config: Config;
  readonly place: Place;
  readonly io: Io;
  /** What its relative paths are relative to; the folder that the command is called in by default. */
  readonly base?: string;
  /** Where the folder of the run is made; `runs` below the folder that the command is called in by default. */
  readonly output?: string | undefined;
  /** Where its plan came from, when a planner made it. */
  readonly origin?: PlanOrigin;
  /** Options of the run, such as `--json` and `--detach`. */
  readonly flags?: RunFlags;
}

/** What a flow came to. */
export interface FlowEnd {
  readonly kind: "ended";
  readonly runId: string;
  readonly exitCode: number;
  readonly state: string;
  /** By node. */
  readonly outcomes: Readonly<Record<string, Outcome>>;
  /** Names of artifacts by node. */
  readonly artifacts: Readonly<Record<string, readonly string[]>>;
}

/** Starts a flow and waits for its end. */
export type StartFlow = (start: FlowStart) => Promise<FlowEnd>;

/** @throws {InvalidInputError} naming the binaries and agents that are not there */
export async function startFlow({ flow, inputs, config, io, ...more }: FlowStart): Promise<FlowEnd> {
  const { base = io.cwd, flags = {}, place } = more;
  const binaryOf = (name: string) => resolveBinary(name, { where: "command", cwd: base, path: io.env["PATH"] });
  const own = more.origin === undefined ? {} : { origin: more.origin };
  const programs = programsOf(flow, config, binaryOf);
  const root = resolveFrom(io.cwd, more.output ?? RUNS_FOLDER);
  const stamp = stampOf(new Date());
  const folder = (runId: string) => join(root, `${stamp}-${runId}`);
  let seen: Omit<FlowEnd, "exitCode"> = { kind: "ended", runId: "", state: "queued", outcomes: {}, artifacts: {} };
  const exitCode = await runStarted({
    ...{ flags, io, config, place },
    start: ({ client }) => client.flows.start(flow, { inputs, base, ...programs, folder, ...own }),
    onEnded: async ({ store }, status) => {
      seen = await loadEnd(store, status);
    },
  });
  return { ...seen, exitCode };
}

async function loadEnd({ files }: Store, { id, epoch, state }: RunStatus): Promise<Omit<FlowEnd, "exitCode">> {
  const outcomes: Record<string, Outcome> = {};
  const artifacts: Record<string, string[]> = {};
  for await (const { path, outcome, outputPath } of files.all(id, epoch)) {
    outcomes[path] = outcome;
    const name = outputPath?.split("/").at(-1);
    if (name !== undefined) (artifacts[parseNodePath(path).id] ??= []).push(name);
  }
  return { kind: "ended", runId: id, state, outcomes, artifacts };
}

/** `20261127-034412`, in local time: folders sort by age. */
function stampOf(at: Date): string {
  const two = (part: number) => String(part).padStart(2, "0");
  const day = `${at.getFullYear()}${two(at.getMonth() + 1)}${two(at.getDate())}`;
  return `${day}-${two(at.getHours())}${two(at.getMinutes())}${two(at.getSeconds())}`;
}
