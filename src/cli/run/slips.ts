/** Parts of a command line that look like a slip: said, not refused. */
import type { SandboxLevel } from "../../contract/allow.ts";
import { slipsOf, usesPlaceholders } from "../../contract/template.ts";
import { say, type Io } from "../io.ts";
import type { RunFlags } from "../run-flags.ts";
import type { PlanInput } from "./plan-input.ts";

/** Beside a placeholder, a word in braces may be meant as it stands, for another program: said, not refused. */
export function tellSlips(io: Io, command: readonly string[]): void {
  if (!usesPlaceholders(command)) return;
  for (const { written, meant } of slipsOf(command)) {
    say(io, `{${written}} in the command is no placeholder and stays as it is; did you mean {${meant}}?`);
  }
}

/** Options that nothing else of the command line gives something to do. */
export function tellIdleOptions(
  io: Io,
  flags: RunFlags,
  { opened, isNew, leastSandbox }: { opened: PlanInput; isNew: boolean; leastSandbox: SandboxLevel | undefined },
): void {
  if (flags.null === true && opened.kind !== "stdin") {
    say(io, "--null: no effect here, it is about a list on standard input (-i -)");
  }
  if (flags.hidden === true && opened.input.kind === "list") {
    say(io, "--hidden: no effect here, files that are named are taken whether they are hidden or not");
  }
  // A run that is resumed may be shut in already.
  const isShutIn = !isNew || flags.sandbox === "strict" || leastSandbox === "strict";
  if (flags.network === true && !isShutIn) {
    say(io, "--network: no effect here, except on workers that shut all processes in; it is about --sandbox strict");
  }
}
