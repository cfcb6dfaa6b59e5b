/** Flows in the OpenAPI document. */
import { flowCheckRequest, flowRequest, goalRequest, resumeRequest } from "./flow/flow-requests.ts";
import { cancelQuery, gateAnswerRequest } from "./flow-routes.ts";
import { flowDryRun, flowVerdict, flowView, gateAnswered, gateList, keptPlan, nodeDetail } from "./flow-responses.ts";
import { body, header, ok, queryParameters, ref, refusals, type Json } from "./openapi-parts.ts";

/** The shapes of flows by their names. */
export const flowShapes = {
  FlowRequest: flowRequest,
  FlowCheckRequest: flowCheckRequest,
  FlowVerdict: flowVerdict,
  FlowDryRun: flowDryRun,
  Flow: flowView,
  Node: nodeDetail,
  ResumeRequest: resumeRequest,
  GoalRequest: goalRequest,
  Plan: keptPlan,
  GateList: gateList,
  GateAnswerRequest: gateAnswerRequest,
  GateAnswer: gateAnswered,
} as const;

const flows = { tags: ["flows"] } as const;
const runId = { $ref: "#/components/parameters/RunId" };
const runName = { $ref: "#/components/parameters/RunName" };
const node = { $ref: "#/components/parameters/NodeName" };

/** The routes of flows. */
export function flowPaths(): Json {
  return { ...startPaths(), ...runPaths(), ...gatePaths(), ...goalPaths() };
}

function startPaths(): Json {
  const started = { description: "The run of this Idempotency-Key; or, for a dry run, what would run." };
  const either = { oneOf: [ref("Run"), ref("FlowDryRun")] };
  return {
    "/v1/flows": {
      post: {
        ...flows,
        operationId: "createFlow",
        summary: "Run a flow, or see what it would run",
        parameters: [
          header("Idempotency-Key", "The same key and body give the same run again, with status 200."),
          header("traceparent", "W3C Trace Context; the trace id goes on into every log line of the run."),
        ],
        requestBody: body("FlowRequest"),
        responses: {
          201: {
            ...ok("The flow was stored and begun.", "Run"),
            headers: { Location: { schema: { type: "string" } } },
          },
          200: { ...started, content: { "application/json": { schema: either } } },
          ...refusals(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
        },
      },
    },
    "/v1/flows/validate": {
      post: {
        ...flows,
        operationId: "validateFlow",
        summary: "Whether a flow could be run here; every fault of it, and every rule that it is against",
        requestBody: body("FlowCheckRequest"),
        responses: { 200: ok("The verdict.", "FlowVerdict"), ...refusals(400, 401, 403, 413, 415) },
      },
    },
  };
}

function runPaths(): Json {
  return {
    "/v1/runs/{id}/flow": {
      parameters: [runId],
      get: {
        ...flows,
        operationId: "getFlow",
        summary: "The graph of a run that is a flow: its nodes with their states, and its plan",
        responses: { 200: ok("The flow.", "Flow"), ...refusals(401, 404, 503) },
      },
    },
    "/v1/runs/{id}/resume": {
      parameters: [runId],
      post: {
        ...flows,
        operationId: "resumeFlow",
        summary: "Begin an ended flow anew: what succeeded and is the same by its digests is not run again",
        requestBody: body("ResumeRequest"),
        responses: {
          202: ok("The run, in its next epoch.", "Run"),
          ...refusals(400, 401, 403, 404, 409, 413, 415, 503),
        },
      },
    },
    "/v1/runs/{id}/nodes/{node}": {
      parameters: [runId, node],
      get: {
        ...flows,
        operationId: "getNode",
        summary: "One node, or with ID%2FINDEX one instance of it",
        responses: { 200: ok("The node.", "Node"), ...refusals(401, 404, 503) },
      },
      delete: {
        ...flows,
        operationId: "cancelNode",
        summary: "Cancel a node and all that hang on it; the rest of the flow goes on",
        parameters: queryParameters(cancelQuery),
        responses: { 202: ok("The node as it is now.", "Node"), ...refusals(400, 401, 403, 404, 409, 503) },
      },
    },
  };
}

function gatePaths(): Json {
  return {
    "/v1/gates": {
      get: {
        ...flows,
        operationId: "listGates",
        summary: "The gates of all flows that wait for an answer",
        responses: { 200: ok("The gates.", "GateList"), ...refusals(401, 503) },
      },
    },
    "/v1/gates/{run}/{node}": {
      parameters: [runName, node],
      post: {
        ...flows,
        operationId: "answerGate",
        summary: "Approve or refuse a gate",
        requestBody: body("GateAnswerRequest"),
        responses: {
          200: ok("The answer was taken.", "GateAnswer"),
          ...refusals(400, 401, 403, 404, 409, 413, 415, 503),
        },
      },
    },
  };
}

function goalPaths(): Json {
  return {
    "/v1/goals": {
      post: {
        ...flows,
        operationId: "planGoal",
        summary: "Have a planner make a plan for a goal; it is kept, and nothing runs",
        requestBody: body("GoalRequest"),
        responses: {
          201: {
            ...ok("The plan. Its hash starts it, in the place of a flow.", "Plan"),
            headers: { Location: { schema: { type: "string" } } },
          },
          ...refusals(400, 401, 403, 413, 415, 422, 429, 503),
        },
      },
    },
    "/v1/plans/{hash}": {
      parameters: [{ $ref: "#/components/parameters/PlanHash" }],
      get: {
        ...flows,
        operationId: "getPlan",
        summary: "A plan that was started, or that a planner made",
        responses: { 200: ok("The plan.", "Plan"), ...refusals(401, 404, 503) },
      },
    },
  };
}
