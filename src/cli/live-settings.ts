/** What the commands that change settings of a running cluster have in common: limits, profiles, rules. */
import { NotFoundError } from "../contract/errors.ts";
import { formatTable } from "./format.ts";
import { outStyle, print, printJson, say, type Io } from "./io.ts";

/** Tells what `reset` took back. @throws {NotFoundError} when it was to be for one `target`, and nothing was set for that */
export function tellReset(
  io: Io,
  {
    json,
    what,
    target,
    removed,
  }: { json?: boolean | undefined; what: "limit" | "profile" | "rule"; target: string | undefined; removed: number },
): void {
  if (target !== undefined && removed === 0) throw new NotFoundError(what, target);
  if (json === true) printJson(io, { removed });
  else say(io, removed === 0 ? "nothing was set" : `took back what was set for ${removed} of them`);
}

/** Prints what is set, a line for each target; `nothing` where that is nothing. */
export function printSet(
  io: Io,
  { head, rows, nothing }: { head: readonly string[]; rows: readonly (readonly string[])[]; nothing: string },
): void {
  const style = outStyle(io);
  if (rows.length === 0) {
    print(io, style.dim(nothing));
    return;
  }
  const [first = "", ...lines] = formatTable([head, ...rows]);
  print(io, [style.dim(first), ...lines].join("\n"));
}
