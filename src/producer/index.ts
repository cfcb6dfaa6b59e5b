/** The package's public entry: what other services import. */
export { Client, createClient } from "./client.ts";
export type { ClientOptions, StreamedRunOptions } from "./client-options.ts";
export { flow, FlowBuilder, type FlowOptions, type Needs, type NodeOptions } from "./flow-builder.ts";
export type { FlowDocumentInput } from "../contract/flows.ts";
export type { RunEvent } from "./run-events.ts";
export type { Backlog, RunListQuery, RunOptions } from "./client-port.ts";
export type { FileResult } from "../contract/files.ts";
export type { RunRecord, RunReport } from "../contract/run-record.ts";
export type { RunRequest, RunSpecInput } from "../contract/run-request.ts";
export type { RunSpec } from "../contract/run-spec.ts";
export type { CancelAck, Explanation, RunStatus } from "../contract/status.ts";
export {
  BacklogFullError,
  ConflictError,
  HeadroomError,
  IdempotencyKeyReusedError,
  InfrastructureError,
  InvalidInputError,
  NotFoundError,
  PolicyError,
} from "../contract/errors.ts";
