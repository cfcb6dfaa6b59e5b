/** Placeholders of a command that look like a slip. */
import { slipsOf, usesPlaceholders } from "../../contract/template.ts";
import { say, type Io } from "../io.ts";

/** Beside a placeholder, a word in braces may be meant as it stands, for another program: said, not refused. */
export function tellSlips(io: Io, command: readonly string[]): void {
  if (!usesPlaceholders(command)) return;
  for (const { written, meant } of slipsOf(command)) {
    say(io, `{${written}} in the command is no placeholder and stays as it is; did you mean {${meant}}?`);
  }
}
