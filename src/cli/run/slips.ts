/** Parts of a command line that look like a slip: said, not refused. */
import type { SandboxLevel } from "../../contract/allow.ts";
import { slipsOf, usesPlaceholders } from "../../contract/template.ts";
import { formatCount, oneLine } from "../format.ts";
import { say, type Io } from "../io.ts";
import type { RunFlags } from "../run-flags.ts";
import type { ListedInput } from "./listed-input.ts";
import type { PlanInput } from "./plan-input.ts";

/** Beside a placeholder, a word in braces may be meant as it stands, for another program: said, not refused. */
export function tellSlips(io: Io, command: readonly string[]): void {
  if (!usesPlaceholders(command)) return;
  for (const { written, meant } of slipsOf(command)) {
    say(io, `{${written}} in the command is no placeholder and stays as it is; did you mean {${meant}}?`);
  }
}

/** Files that a list names more than once: each is run once. */
export function tellRepeats(io: Io, { repeats: { count, examples } }: Pick<ListedInput, "repeats">): void {
  if (count === 0) return;
  const what =
    count === 1 ? "1 entry of the list names a file" : `${formatCount(count)} entries of the list name files`;
  const shown = examples.map(({ path, first, again }) => `${oneLine(path)} (entries ${first} and ${again})`).join(", ");
  const more = count > examples.length ? ", …" : "";
  say(io, `${what} that an earlier one names, and each file counts once: ${shown}${more}`);
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
