/** Schedules over HTTP. */
import express, { type Request, type Response } from "express";
import { z } from "zod";
import { InvalidInputError } from "../contract/errors.ts";
import { scheduleSpec } from "../contract/schedules.ts";
import { field, schemaFaults } from "../contract/schema-faults.ts";
import type { Route } from "../platform/http/route-table.ts";
import type { ClientPort } from "./client-port.ts";
import { answer, expectJson, idOf } from "./route-parts.ts";
import type { RunGate, SchedulePatch } from "./schedules.ts";

const MAX_BODY_BYTES = 1024 * 1024;

const time = z
  .string()
  .refine((text) => /^\d{4}-\d\d-\d\dT.*(?:Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)), {
    error: 'a time with its zone, such as "2026-01-31T00:00:00Z"',
  });
/** What a backfill is asked for with. */
export const backfillRequest = z.strictObject({
  from: time.describe("the first time, as RFC 3339"),
  to: time.describe("the last time, as RFC 3339; in the past"),
});
/** What a schedule is made of: its name beside what it says. */
export const scheduleRequest = scheduleSpec.extend({ name: z.string() });
/** Parts of a schedule that are replaced; null takes one away. What is absent stays, so there are no defaults here. */
export const schedulePatch = z.strictObject(
  Object.fromEntries(
    Object.entries(scheduleSpec.shape).map(([key, schema]) => {
      const plain = schema instanceof z.ZodDefault ? schema.unwrap() : schema;
      return [key, plain.nullable().optional()];
    }),
  ),
);

export interface ScheduleRouteDeps {
  readonly client: ClientPort;
  /** What runs that come over HTTP may use. */
  readonly gate: RunGate;
}

/** The routes of schedules. */
export function scheduleRoutes({ client, gate }: ScheduleRouteDeps): Route[] {
  const before = [expectJson, express.json({ limit: MAX_BODY_BYTES })];
  return [
    {
      ...{ method: "get", path: "/v1/schedules", permission: "view" },
      handler: async (_req, res) => {
        answer(res, 200, { schedules: await client.schedules.list() });
      },
    },
    {
      ...{ method: "post", path: "/v1/schedules", permission: "operate", before },
      handler: (req, res) => createSchedule({ client, gate }, req, res),
    },
    {
      ...{ method: "get", path: "/v1/schedules/:name", permission: "view" },
      handler: async (req, res) => {
        answer(res, 200, await client.schedules.get(nameOf(req)));
      },
    },
    {
      ...{ method: "patch", path: "/v1/schedules/:name", permission: "operate", before },
      handler: (req, res) => patchSchedule({ client, gate }, req, res),
    },
    {
      ...{ method: "delete", path: "/v1/schedules/:name", permission: "operate" },
      handler: async (req, res) => {
        await client.schedules.remove(nameOf(req));
        res.status(204).end();
      },
    },
    {
      ...{ method: "post", path: "/v1/schedules/:name/backfill", permission: "operate", before },
      handler: async (req, res) => {
        const { from, to } = parseBody(backfillRequest, "backfill", req.body);
        const range = { fromMs: Date.parse(from), toMs: Date.parse(to) };
        answer(res, 202, await client.schedules.backfill(nameOf(req), range));
      },
    },
  ];
}

async function createSchedule({ client, gate }: ScheduleRouteDeps, req: Request, res: Response): Promise<void> {
  const body: unknown = req.body;
  const name = field(body, "name");
  if (typeof name !== "string") {
    const found = name === undefined ? "nothing" : `a ${typeof name}`;
    throw new InvalidInputError("schedule", [{ where: "name", expected: "a text", found }]);
  }
  const { name: _name, ...spec } = body as Record<string, unknown>;
  const created = await client.schedules.create(name, spec, gate);
  res.location(`/v1/schedules/${encodeURIComponent(name)}`);
  answer(res, 201, created);
}

/** `paused` by itself is for schedules of the configuration too. */
async function patchSchedule({ client, gate }: ScheduleRouteDeps, req: Request, res: Response): Promise<void> {
  const { schedules } = client;
  const name = nameOf(req);
  const { paused, ...patch } = parseBody(schedulePatch, "schedule", req.body) as SchedulePatch;
  let status = Object.keys(patch).length > 0 ? await schedules.change(name, patch, gate) : await schedules.get(name);
  if (paused === true) status = await schedules.pause(name);
  if (paused === false) status = await schedules.resume(name);
  answer(res, 200, status);
}

function parseBody<T extends z.ZodObject>(schema: T, what: string, body: unknown): z.output<T> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const faults = schemaFaults(parsed.error.issues, body, (path) =>
    path.length === 0 ? Object.keys(schema.shape) : [],
  );
  throw new InvalidInputError(
    what,
    faults.map(({ where, expected, found }) => ({ where, expected, found })),
  );
}

function nameOf(req: Request): string {
  return idOf(req, "name");
}
