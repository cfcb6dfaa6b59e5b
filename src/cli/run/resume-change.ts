/** Which parts of an earlier run a new command line changes: those that differ from what it says by default. */
import type { RunSpecInput } from "../../contract/run-request.ts";
import type { RunSpec } from "../../contract/run-spec.ts";

/** Sections of which single settings are changed, not the whole. */
const sections = ["output", "inputRules", "resources", "chunk"] as const;
type Section = (typeof sections)[number];

/** `asked` and `silent` are the specification with and without the options of this command line. */
export function resumeChange(before: RunSpec, asked: RunSpecInput, silent: RunSpecInput): Partial<RunSpecInput> {
  const change: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(asked)) {
    const unasked = silent[key as keyof RunSpecInput];
    if (isSame(value, unasked)) continue;
    change[key] = isSection(key) ? { ...before[key], ...changedFields(value, unasked) } : value;
  }
  // How the output comes about follows from the command: it is the new one's, or stays.
  if (change["command"] !== undefined) {
    change["output"] = { ...before.output, ...(change["output"] as object | undefined), from: asked.output.from };
    change["perChunk"] = asked.perChunk;
  }
  return change;
}

function changedFields(value: unknown, unasked: unknown): object {
  const old = (unasked ?? {}) as Record<string, unknown>;
  return Object.fromEntries(Object.entries(value as object).filter(([key, field]) => !isSame(field, old[key])));
}

function isSection(key: string): key is Section {
  return (sections as readonly string[]).includes(key);
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
