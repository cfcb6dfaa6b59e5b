/** What a test tells a process that it starts. */
import { z } from "zod";
import { allowSchema } from "../../../src/contract/allow.ts";

const settings = z.strictObject({
  id: z.string(),
  redis: z.string(),
  store: z.string(),
  prefix: z.string(),
  /** What runs may use, as the configuration has it. */
  allow: allowSchema.prefault({}),
  labels: z.array(z.string()).default([]),
  maxProcesses: z.int().default(2),
  /** What its jobs may take together. */
  memoryMaxBytes: z.int().optional(),
  lockMs: z.int().default(2_000),
  drainMs: z.int().default(10_000),
  /** After so many claimed jobs the next claim never comes back, though Redis is well. */
  hangAfterClaims: z.int().optional(),
  /** Computes for this many ms of CPU time on the worker's own loop at each claim: what must never be done. */
  blockMs: z.int().default(0),
  /** Memory that the process holds beside what it needs. */
  ballastMiB: z.int().default(0),
  /** Whether it has an operations server, whose URL it prints. */
  ops: z.boolean().default(false),
  stopMs: z.int().default(20_000),
  logLevel: z.enum(["debug", "info", "warn", "error", "silent"]).default("warn"),
});
export type ProcessSettings = z.input<typeof settings>;

export const SETTINGS = "HEADROOM_TEST_PROCESS";

/** The settings of this process. @throws when they are not what the test should have passed. */
export function readSettings(): z.output<typeof settings> {
  return settings.parse(JSON.parse(process.env[SETTINGS] ?? "null"));
}
