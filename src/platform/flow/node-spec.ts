/** What a node that is ready runs: the specification of its call, or of the run that does its work. */
import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { TASK_VARIABLE } from "../../contract/agents.ts";
import { cutAttempts } from "../../contract/flow-attempts.ts";
import { parseNodePath } from "../../contract/flow-run.ts";
import { profileOfNode } from "../../contract/flow-profiles.ts";
import { textsOf } from "../../contract/flow-references.ts";
import { parseTemplate } from "../../contract/flow-templates.ts";
import type { FlowNode } from "../../contract/flows.ts";
import { InvalidInputError } from "../../contract/errors.ts";
import { failureClasses, defaultRetryRules, type FailureClass, type RetryRule } from "../../contract/outcomes.ts";
import type { Profile } from "../../contract/profiles.ts";
import { parseRunSpec } from "../../contract/run-request.ts";
import { DEFAULT_ENV_ALLOW, MAX_READS, type RunSpec } from "../../contract/run-spec.ts";
import { outputFromOf } from "../../contract/template.ts";
import { agentCommand, agentPartsOf, keptOfAgent, programOf, taskOf } from "./agent-spec.ts";
import { expandArguments, expandTemplate, expandValue, type FlowScope } from "./expressions.ts";
import { literal, networkOf, valueOf, type NodeWork } from "./node-work.ts";
import { nodesNamedIn } from "./named-nodes.ts";

/** One call of a command, for `exec`. @throws {InvalidInputError} when what was evaluated is none */
export function execSpec(work: NodeWork): RunSpec {
  const { node } = work;
  if (node.kind !== "exec" && node.kind !== "agent") throw new TypeError(`expected an exec node, found ${node.kind}`);
  const isAgent = node.kind === "agent";
  const command = isAgent ? agentCommand(node, work) : commandOf(node.command, work);
  const { env, reads = [], ...common } = commonOf(work);
  if (reads.length > MAX_READS) {
    throw new InvalidInputError("node", [
      { where: "reads", expected: `outputs of ${MAX_READS} nodes at most`, found: String(reads.length) },
    ]);
  }
  const task = isAgent ? { [TASK_VARIABLE]: JSON.stringify(taskOf(node, work)) } : {};
  const [binary = "", ...words] = command;
  const { name, ...kept } = keptOf(node, command, work);
  const base = checkedOnce({
    ...common,
    executor: work.isNoop ? "noop" : "process",
    command: [binary],
    ...learnedAs(command, work),
    perChunk: false,
    ...(isAgent && agentPartsOf(node, work)),
    input: { kind: "none" },
    output: { root: join(work.about.folder, "artifacts"), ...kept },
  });
  return {
    ...base,
    env: { ...env, ...task },
    ...(reads.length > 0 && { reads: [...reads] }),
    command: [binary, ...words],
    input: { kind: "none", root: "/", sha256: inputDigest(work) },
    output: { ...base.output, ...(name !== undefined && { name }) },
  };
}

/** Specifications that were checked, by what was written. */
const checked = new Map<string, RunSpec>();
const MAX_CHECKED = 256;

/** Most calls of a flow differ in texts alone that may be any: what they have in common is checked once. */
function checkedOnce(written: object): RunSpec {
  const key = JSON.stringify(written);
  const known = checked.get(key);
  if (known !== undefined) return known;
  const spec = parseRunSpec(written);
  if (checked.size >= MAX_CHECKED) checked.clear();
  checked.set(key, spec);
  return spec;
}

/** What is kept of a call, and under which name. What an agent prints is its transcript, and that is always kept. */
function keptOf(node: CallNode, command: readonly string[], work: NodeWork): Partial<RunSpec["output"]> {
  if (node.kind === "agent") return keptOfAgent(node, work);
  const { name, json } = node.output;
  return {
    from: name === undefined ? "none" : outputFromOf(command),
    ...(name !== undefined && { name: `${work.path}/${literal(name)}` }),
    ...(json && { json: true }),
  };
}

type CallNode = Extract<FlowNode, { kind: "exec" | "agent" }>;

/** The run that does the work of a `files` or `infer` node. @throws {InvalidInputError} when what was evaluated is none */
export function childSpec(work: NodeWork, inputKind: (path: string) => "file" | "folder"): RunSpec {
  const { node, about, path, scope, ref } = work;
  if (node.kind !== "files" && node.kind !== "infer") throw new TypeError(`expected a files node, found ${node.kind}`);
  const input = resolve(about.base, valueOf(expandTemplate(node.input, scope), "input"));
  const tree = { kind: "tree", root: input, include: [...node.include], exclude: [...node.exclude] };
  const isInfer = node.kind === "infer";
  const command = isInfer
    ? [resolve(about.base, valueOf(expandTemplate(node.model, scope), "model"))]
    : commandOf(node.command, work);
  const depends = dependsDigest(work);
  return parseRunSpec({
    ...commonOf(work),
    ...(depends !== undefined && { dependsSha256: depends }),
    ...(isInfer && { executor: "infer" }),
    name: `${about.name}/${path}`.slice(0, 200),
    command,
    ...learnedAs(command, work),
    input: inputKind(input) === "folder" ? tree : [input],
    output: {
      root: join(about.folder, "outputs", path),
      ...(node.kind === "files" && node.name !== undefined && { name: node.name }),
    },
    parent: { runId: ref.runId, epoch: ref.epoch, path },
  });
}

/** What tells the class of a command in which something was evaluated: all entries of a fan-out are of one. */
function learnedAs([binary = "", ...words]: readonly string[], work: NodeWork): { learnAs?: string[] } {
  const { node } = work;
  const written = node.kind === "agent" ? programOf(node, work).command : "command" in node ? node.command : [];
  const [, ...asWritten] = written;
  const isSame = asWritten.length === words.length && asWritten.every((word, at) => word === words[at]);
  return isSame || node.kind === "infer" ? {} : { learnAs: [binary, ...asWritten] };
}

/** The values that a `flow` node gives to the inputs of its flow. */
export function inputsOf({ node, scope }: NodeWork): Readonly<Record<string, unknown>> {
  if (node.kind !== "flow") throw new TypeError(`expected a flow node, found ${node.kind}`);
  const inputs: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(node.inputs)) {
    inputs[name] = typeof value === "string" ? valueOf(expandValue(value, scope), `inputs.${name}`) : value;
  }
  return inputs;
}

/** The words of a command, its binary by an absolute path where that is known. */
function commandOf(command: readonly string[], { about, scope }: NodeWork): string[] {
  const [binary = "", ...words] = expandCommand(command, scope);
  const known = Object.hasOwn(about.binaries, binary) ? about.binaries[binary] : undefined;
  return [known ?? (binary.includes("/") ? resolve(about.base, binary) : binary), ...words];
}

/** The words of a command. What is evaluated stands for itself, whatever placeholders it looks like. */
function expandCommand(command: readonly string[], scope: FlowScope): string[] {
  return command.flatMap((template, at) => {
    const where = `command[${at}]`;
    const parsed = parseTemplate(template);
    if (parsed.kind === "faulty") throw new InvalidInputError("node", [{ where, ...parsed }]);
    const { parts } = parsed;
    if (parts.every(({ kind }) => kind === "text")) return [valueOf(expandTemplate(template, scope), where)];
    if (parts.length === 1) return valueOf(expandArguments([template], scope), where).map(literal);
    const words = parts.map((part) =>
      part.kind === "text" ? part.text : literal(valueOf(expandTemplate(`\${${part.expression}}`, scope), where)),
    );
    return [words.join("")];
  });
}

/** What a node that is shut in sees of those that it reads. */
function readsOf({ ends, about }: NodeWork): string[] {
  return [...ends].flatMap(([id, { output, items }]) =>
    output !== null ? [output] : items === undefined ? [] : [join(about.folder, "artifacts", id)],
  );
}

function enclosureOf(work: NodeWork): Common {
  const { sandbox } = work.node;
  const network = networkOf(work);
  const reads = readsOf(work);
  return {
    ...(sandbox !== undefined && { sandbox }),
    ...(network !== undefined && { network }),
    // A worker may shut in what did not ask for it.
    ...(reads.length > 0 && { reads }),
  };
}

/** What is written of any work of a node, before it is checked. */
interface Common extends Readonly<Record<string, unknown>> {
  readonly reads?: readonly string[];
}

function commonOf(work: NodeWork): Common & { readonly env: Readonly<Record<string, string>> } {
  const { node, about, path, scope, traceId } = work;
  const env: Record<string, string> = {};
  for (const [name, template] of Object.entries({ ...about.env, ...node.env })) {
    env[name] = valueOf(expandTemplate(template, scope), `env.${name}`);
  }
  if (about.task !== undefined) env[TASK_VARIABLE] = JSON.stringify(about.task);
  const resources = resourcesOf(node, profileOfNode(node, about.profiles));
  return {
    ...enclosureOf(work),
    ...(about.fresh.includes(parseNodePath(path).id) && { fresh: true }),
    env,
    envAllow: [...DEFAULT_ENV_ALLOW],
    traceId,
    ...(node.profile !== undefined && { profile: node.profile }),
    ...(node.priority !== undefined && { priority: node.priority }),
    ...(node.timeout_seconds !== undefined && { timeoutMs: Math.ceil(node.timeout_seconds * 1_000) }),
    retry: retryOf(node.retry, about.mostStarts),
    ...(resources !== undefined && { resources }),
  };
}

/** What a node says, and of what it leaves open what its profile has. */
function resourcesOf({ resources: own }: FlowNode, profile: Profile | undefined): Partial<Profile> | undefined {
  if (own === undefined) return profile;
  const { memory, cpu, labels } = own;
  return {
    ...profile,
    ...(memory !== undefined && { memoryBytes: memory }),
    ...(cpu !== undefined && { cpuCores: cpu }),
    ...(labels !== undefined && { labels }),
  };
}

/** The rules that a node writes, and those that its flow has for what it leaves open. */
function retryOf(written: FlowNode["retry"], mostStarts?: number): Partial<Record<FailureClass, RetryRule>> {
  const cut = mostStarts === undefined ? undefined : cutAttempts(written, mostStarts);
  const retry: Partial<Record<FailureClass, RetryRule>> = {};
  for (const name of failureClasses) {
    const [rule, attempts] = [written?.[name], cut?.get(name)];
    if (rule !== undefined || attempts !== undefined) retry[name] = ruleOf(rule, usualRule(name, attempts));
  }
  return retry;
}

function usualRule(name: FailureClass, attempts = defaultRetryRules[name].attempts): RetryRule {
  return { ...defaultRetryRules[name], attempts };
}

function ruleOf(rule: NonNullable<FlowNode["retry"]>[FailureClass], usual: RetryRule): RetryRule {
  return {
    attempts: rule?.attempts ?? usual.attempts,
    backoffMs: rule?.backoff_ms ?? usual.backoffMs,
    backoffFactor: rule?.backoff_factor ?? usual.backoffFactor,
    maxBackoffMs: rule?.max_backoff_ms ?? usual.maxBackoffMs,
  };
}

/**
 * What a call depends on beside its arguments, which may name a path whose content has changed: the digests of what it
 * reads.
 */
function inputDigest(work: NodeWork): string {
  return digestOf(readBy(work));
}

/**
 * The same of a run over files, of what its command and its environment name; undefined when there is nothing. What it only
 * needs changes no file of it, and what it finds in its input is compared file by file.
 */
function dependsDigest(work: NodeWork): string | undefined {
  const named = nodesNamedIn(textsOf(work.node).filter(({ path: [key] }) => key !== undefined && !besides.has(key)));
  const read = readBy(work).filter(([id]) => named.has(id));
  return read.length === 0 ? undefined : digestOf(read);
}

/** Keys of a node that say whether it runs and over what, and not what it makes of a file. */
const besides: ReadonlySet<string | number> = new Set(["input", "when", "foreach"]);

type Read = readonly [id: string, sha256: string | null, result: unknown];

function readBy({ ends }: NodeWork): Read[] {
  return [...ends].map(([id, end]): Read => [id, end.sha256, end.result ?? null]).sort(([a], [b]) => (a < b ? -1 : 1));
}

function digestOf(read: readonly Read[]): string {
  return createHash("sha256")
    .update(JSON.stringify([read, null]))
    .digest("hex");
}
