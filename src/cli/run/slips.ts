/** Parts of a command line that look like a slip: said, not refused. */
import { slipsOf, usesPlaceholders } from "../../contract/template.ts";
import { say, type Io } from "../io.ts";
import type { RunFlags } from "../run-flags.ts";

/** Beside a placeholder, a word in braces may be meant as it stands, for another program: said, not refused. */
export function tellSlips(io: Io, command: readonly string[]): void {
  if (!usesPlaceholders(command)) return;
  for (const { written, meant } of slipsOf(command)) {
    say(io, `{${written}} in the command is no placeholder and stays as it is; did you mean {${meant}}?`);
  }
}

/** Options that nothing else of the command line gives something to do. */
export function tellIdleOptions(io: Io, flags: RunFlags, { isListed }: { isListed: boolean }): void {
  if (flags.null === true && !isListed) say(io, "--null: no effect here, it is about a list on standard input (-i -)");
  if (flags.network === true && flags.sandbox !== "strict") {
    say(io, "--network: no effect here, it is about --sandbox strict; without that the network is there");
  }
}
