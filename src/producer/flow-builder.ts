/**
 * Writes a flow file in code. Node after node; what needs a node that was not written before does not compile, so that a
 * flow which is built this way has no cycle and no slip in a name.
 */
import { checkFlow } from "../contract/flow-check.ts";
import { InvalidInputError } from "../contract/errors.ts";
import type { EdgeRule, FlowDocumentInput } from "../contract/flows.ts";

type NodeInput = FlowDocumentInput["nodes"][number];
type InputOf<K extends NodeInput["kind"]> = Omit<Extract<NodeInput, { kind: K }>, "id" | "kind" | "needs">;

/** Nodes that must have ended: by their ids, or with the rule of the edge. */
export type Needs<Known extends string> = readonly (Known | { readonly node: Known; readonly on: EdgeRule })[];

/** What one node is, and what it needs of those before it. */
export type NodeOptions<K extends NodeInput["kind"], Known extends string> = InputOf<K> & {
  readonly needs?: Needs<Known>;
};

/** What holds for the whole flow. */
export type FlowOptions = Omit<FlowDocumentInput, "version" | "name" | "nodes">;

/** A flow as it grows; each call gives a new one. `Known` are the ids of its nodes. */
export class FlowBuilder<Known extends string = never> {
  readonly #document: FlowDocumentInput;

  constructor(document: FlowDocumentInput) {
    this.#document = document;
  }

  /** One process. */
  exec<Id extends string>(id: Id, node: NodeOptions<"exec", Known>): FlowBuilder<Known | Id> {
    return this.#with({ ...node, id, kind: "exec", needs: listOf(node.needs) });
  }

  /** A command over files. */
  files<Id extends string>(id: Id, node: NodeOptions<"files", Known>): FlowBuilder<Known | Id> {
    return this.#with({ ...node, id, kind: "files", needs: listOf(node.needs) });
  }

  /** A model over files. */
  infer<Id extends string>(id: Id, node: NodeOptions<"infer", Known>): FlowBuilder<Known | Id> {
    return this.#with({ ...node, id, kind: "infer", needs: listOf(node.needs) });
  }

  /** An agent program with a prompt. */
  agent<Id extends string>(id: Id, node: NodeOptions<"agent", Known>): FlowBuilder<Known | Id> {
    return this.#with({ ...node, id, kind: "agent", needs: listOf(node.needs) });
  }

  /** A question to a person. */
  gate<Id extends string>(id: Id, node: NodeOptions<"gate", Known>): FlowBuilder<Known | Id> {
    return this.#with({ ...node, id, kind: "gate", needs: listOf(node.needs) });
  }

  /** Another flow file. */
  flow<Id extends string>(id: Id, node: NodeOptions<"flow", Known>): FlowBuilder<Known | Id> {
    return this.#with({ ...node, id, kind: "flow", needs: listOf(node.needs) });
  }

  /** The flow, as a file has it. `files` are the flow files that it names. @throws {InvalidInputError} with every fault */
  toDocument(files: Readonly<Record<string, unknown>> = {}): FlowDocumentInput {
    const checked = checkFlow(this.#document, files);
    if (checked.kind === "faulty") throw new InvalidInputError(`flow ${this.#document.name}`, checked.faults);
    return structuredClone(this.#document);
  }

  #with<Id extends string>(node: NodeInput): FlowBuilder<Known | Id> {
    return new FlowBuilder<Known | Id>({ ...this.#document, nodes: [...this.#document.nodes, node] });
  }
}

/** Begins a flow. */
export function flow(name: string, options: FlowOptions = {}): FlowBuilder {
  return new FlowBuilder({ ...options, version: 1, name, nodes: [] });
}

function listOf<Known extends string>(needs: Needs<Known> = []): NonNullable<NodeInput["needs"]> {
  return [...needs];
}
