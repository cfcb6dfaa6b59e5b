/** Where a checked flow becomes a run: what runs flows is wired in here. */
import { InvalidInputError } from "../../contract/errors.ts";
import type { OpenedFlow } from "./open-flow.ts";

/** Starts a flow that is allowed and has all its inputs; resolves with the exit code. */
export function startFlow({ flow }: OpenedFlow): Promise<number> {
  const expected = "--plan-only or --dry-run beside it: this version reads, checks and draws flows, and runs none";
  return Promise.reject(
    new InvalidInputError("command line", [{ where: "--flow", expected, found: JSON.stringify(flow.document.name) }]),
  );
}
