/** What a call is that runs an agent. */
import { basename } from "node:path";
import { agentProgram, agentWords, DEFAULT_REPEATS, type TaskMessage } from "../../contract/agents.ts";
import { InvalidInputError } from "../../contract/errors.ts";
import { TRANSCRIPT, type FlowNode } from "../../contract/flows.ts";
import { isInside, isPlainAbsolute } from "../../contract/inside.ts";
import { MiB } from "../../contract/resources.ts";
import type { AgentLimits, RunSpec } from "../../contract/run-spec.ts";
import { narrowTask } from "../../contract/task-limits.ts";
import { isRelativeInside } from "../confined-path.ts";
import { expandTemplate } from "./expressions.ts";
import { literal, networkOf, valueOf, type NodeWork } from "./node-work.ts";

type AgentNode = Extract<FlowNode, { kind: "agent" }>;

/** An agent that prints more is ended; so much of it is kept. */
const TRANSCRIPT_MAX_BYTES = 256 * MiB;

/** The program that a node names. @throws {InvalidInputError} when there is none */
export function programOf(node: AgentNode, { about }: NodeWork): ReturnType<typeof agentProgram> {
  const program = Object.hasOwn(about.agents, node.program) ? about.agents[node.program] : undefined;
  if (program !== undefined) return agentProgram(program);
  const found = JSON.stringify(node.program);
  throw new InvalidInputError("node", [{ where: "program", expected: "an agent of the configuration", found }]);
}

/** The words of its command. @throws {InvalidInputError} when what was evaluated is none */
export function agentCommand(node: AgentNode, work: NodeWork): string[] {
  const prompt = literal(valueOf(expandTemplate(node.prompt, work.scope), "prompt"));
  return agentWords(programOf(node, work), node, prompt);
}

function folderOf({ path, writable }: NonNullable<AgentNode["folder"]>, work: NodeWork): RunSpec["folder"] {
  const found = valueOf(expandTemplate(path, work.scope), "folder.path");
  const isOfRun = writable && isInside(work.about.folder, found);
  if (isPlainAbsolute(found) && !isOfRun) return { path: found, writable };
  const expected = isOfRun
    ? "a folder outside that of the run, whose artifacts nobody writes to"
    : "the absolute path of a folder, without .. parts";
  throw new InvalidInputError("node", [{ where: "folder.path", expected, found: JSON.stringify(found) }]);
}

function limitsOf(node: AgentNode, program: ReturnType<typeof agentProgram>): AgentLimits {
  const { max_turns, max_tokens, max_cost_usd } = node;
  const max_repeats = node.max_repeats ?? program.max_repeats ?? DEFAULT_REPEATS;
  const stuck_seconds = node.stuck_seconds ?? program.stuck_seconds;
  return {
    ...{ maxTurns: max_turns, repeats: max_repeats },
    ...(max_tokens !== undefined && { maxTokens: max_tokens }),
    ...(max_cost_usd !== undefined && { maxCostUsd: max_cost_usd }),
    ...(stuck_seconds !== undefined && { stuckMs: Math.ceil(stuck_seconds * 1_000) }),
  };
}

/** What its process is told of its task. */
export function taskOf(node: AgentNode, work: NodeWork): TaskMessage {
  const { ref, path, traceId, about } = work;
  const task = {
    ...{ task_id: `${ref.runId}/${path}`, parent_id: ref.runId, trace_id: traceId },
    constraints: {
      ...{ tools: node.tools, max_turns: node.max_turns, max_tokens: node.max_tokens ?? null },
      ...{ max_cost_usd: node.max_cost_usd ?? null, timeout_seconds: node.timeout_seconds ?? null },
      ...{ network: networkOf(work) ?? null, sandbox: node.sandbox ?? null },
    },
  };
  return about.task === undefined ? task : narrowTask(task, about.task.constraints);
}

/** What a call has because it is one of an agent: its limits, and the folder that it works in. */
export function agentPartsOf(node: AgentNode, work: NodeWork): Pick<RunSpec, "agent" | "folder"> {
  const agent = limitsOf(node, programOf(node, work));
  return { agent, ...(node.folder !== undefined && { folder: folderOf(node.folder, work) }) };
}

/** What is kept of it: what it prints, or a file that it leaves. @throws {InvalidInputError} when that is no path below */
export function keptOfAgent({ output }: AgentNode, { path, scope }: NodeWork): Partial<RunSpec["output"]> {
  const rules = { ...(output.json && { json: true }), maxBytes: TRANSCRIPT_MAX_BYTES };
  if (output.file === undefined) {
    return { from: "stdout", name: `${path}/${literal(output.name ?? TRANSCRIPT)}`, ...rules };
  }
  const file = valueOf(expandTemplate(output.file, scope), "output.file");
  const found = JSON.stringify(file);
  if (!isRelativeInside(file) || file.endsWith("/")) {
    const expected = "the path of a file below the folder that the agent works in, without .. parts";
    throw new InvalidInputError("node", [{ where: "output.file", expected, found }]);
  }
  const name = output.name ?? basename(file);
  if (name === TRANSCRIPT) {
    const expected = `a name other than that of the transcript (output.name)`;
    throw new InvalidInputError("node", [{ where: "output.file", expected, found }]);
  }
  return { from: "file", name: `${path}/${literal(name)}`, left: { file, transcript: TRANSCRIPT }, ...rules };
}
