/** What a flow that has ended came to: its declared outputs, from how its nodes ended. */
import type { NodeEnd } from "../../contract/flow-run.ts";
import { outputTextsOf } from "../../contract/flow-references.ts";
import { expandValue } from "./expressions.ts";
import type { FlowAbout, FlowRef, FlowState } from "./flow-state.ts";
import { nodesNamedIn } from "./named-nodes.ts";
import { loadScope } from "./node-values.ts";

/** As JSON, together: they are kept with the state of the flow around it. */
export const MAX_OUTPUTS_BYTES = 256 * 1024;

export interface FlowOutputs {
  /** Null for one that is not known. */
  readonly values: Readonly<Record<string, unknown>>;
  /** Which are not known, and why. */
  readonly fault: string | undefined;
}

/** The outputs of a flow; undefined when it declares none. Its nodes have all ended. */
export async function loadFlowOutputs(state: FlowState, ref: FlowRef): Promise<FlowOutputs | undefined> {
  const about = await state.about();
  const outputs = about?.outputs ?? {};
  const texts = outputTextsOf(outputs);
  if (about === undefined || texts.length === 0) return undefined;
  const reads = [...nodesNamedIn(texts)];
  return evaluated(state, { about, ref, reads, ends: await state.ends(reads) });
}

interface Known {
  readonly about: FlowAbout;
  readonly ref: FlowRef;
  readonly reads: readonly string[];
  readonly ends: ReadonlyMap<string, NodeEnd>;
}

async function evaluated(state: FlowState, { reads, about, ...known }: Known): Promise<FlowOutputs> {
  const { outputs = {} } = about;
  const scope = await loadScope(state, { reads, node: { id: "outputs", ...{ outputs } } }, { about, ...known });
  const values: Record<string, unknown> = {};
  const faults: string[] = [];
  for (const [name, template] of Object.entries(outputs)) {
    const found = expandValue(template, scope);
    values[name] = found.kind === "value" ? found.value : null;
    if (found.kind === "faulty") faults.push(`outputs.${name}: expected ${found.expected}, found ${found.found}`);
  }
  const bytes = Buffer.byteLength(JSON.stringify(values));
  if (bytes > MAX_OUTPUTS_BYTES) {
    const fault = `outputs: expected ${MAX_OUTPUTS_BYTES} bytes as JSON together at most, found ${bytes}`;
    return { values: Object.fromEntries(Object.keys(values).map((name) => [name, null])), fault };
  }
  return { values, fault: faults.length === 0 ? undefined : faults.join("; ") };
}
