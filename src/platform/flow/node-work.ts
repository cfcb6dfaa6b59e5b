/** What the specification of a node is made of, and what all kinds of nodes say alike. */
import type { NodeEnd } from "../../contract/flow-run.ts";
import type { FlowNode } from "../../contract/flows.ts";
import { InvalidInputError } from "../../contract/errors.ts";
import type { Evaluated, FlowScope } from "./expressions.ts";
import type { FlowAbout, FlowRef } from "./flow-state.ts";

/** Everything that the specification of one node or instance is made of. */
export interface NodeWork {
  readonly ref: FlowRef;
  readonly about: FlowAbout;
  readonly node: FlowNode;
  readonly path: string;
  readonly scope: FlowScope;
  /** How the nodes that it reads ended. */
  readonly ends: ReadonlyMap<string, NodeEnd>;
  /** Of the run: how the jobs of a flow are told from others in logs. */
  readonly traceId: string;
  /** For measuring: nothing is started. */
  readonly isNoop: boolean;
}

/** The value of what was evaluated. @throws {InvalidInputError} when it is none */
export function valueOf<T>(evaluated: Evaluated<T>, where: string): T {
  if (evaluated.kind === "value") return evaluated.value;
  const { expected, found } = evaluated;
  throw new InvalidInputError("node", [{ where, expected, found }]);
}

/** A value that stands for itself among the placeholders of a command. */
export function literal(value: string): string {
  return value.replaceAll("{", "{{");
}

/** What a node says of the network, or its flow for it. */
export function networkOf({ node, about }: NodeWork): boolean | undefined {
  return node.network ?? (about.isOffline === true ? false : undefined);
}
