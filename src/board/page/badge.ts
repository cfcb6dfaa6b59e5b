/** States and outcomes: a sign, a word and a colour, so that the colour is never alone. */
import type { Outcome, RunState } from "../../contract/outcomes.ts";
import { html, type Html } from "./html.ts";

type Tone = "good" | "bad" | "busy" | "calm" | "warn";

const tones: Readonly<Record<Outcome | RunState | "alive" | "gone", readonly [Tone, string]>> = {
  queued: ["calm", "◷"],
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
