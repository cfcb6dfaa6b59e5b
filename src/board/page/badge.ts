/** States and outcomes: a sign, a word and a colour, so that the colour is never alone. */
import type { Outcome, RunState } from "../../contract/outcomes.ts";
import type { NodeState } from "../../contract/flow-view.ts";
import { html, type Html } from "./html.ts";

type Tone = "good" | "bad" | "busy" | "calm" | "warn";

const tones: Readonly<Record<Outcome | RunState | NodeState | "alive" | "gone", readonly [Tone, string]>> = {
  queued: ["calm", "◷"],
  waiting: ["calm", "…"],
  ready: ["calm", "◷"],
  asking: ["warn", "?"],
  running: ["busy", "▶"],
  cancelling: ["warn", "◌"],
  succeeded: ["good", "✓"],
  failed: ["bad", "✕"],
  cancelled: ["calm", "⊘"],
  broken: ["bad", "!"],
  skipped: ["calm", "↷"],
  quarantined: ["warn", "⚠"],
  alive: ["good", "●"],
  gone: ["bad", "○"],
};

export function badge(state: keyof typeof tones): Html {
  const [tone, sign] = tones[state];
  return html`<span class="badge ${tone}"><span aria-hidden="true">${sign}</span> ${state}</span>`;
}

const nodeWords: Readonly<Partial<Record<NodeState, string>>> = {
  ready: "waits for room",
  asking: "needs an answer",
};

/** The tone, sign and word of the state of a node. */
export function stateLook(state: NodeState): readonly [tone: string, sign: string, word: string] {
  const [tone, sign] = tones[state];
  return [tone, sign, nodeWords[state] ?? state];
}

export function stateBadge(state: NodeState): Html {
  const [tone, sign, word] = stateLook(state);
  return html`<span class="badge ${tone}"><span aria-hidden="true">${sign}</span> ${word}</span>`;
}
