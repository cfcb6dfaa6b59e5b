/** Commands for people to read. Pure. */
import { printablePath } from "./path-bytes.ts";

/** A command as it could be typed into a shell. */
export function formatCommand(command: readonly string[]): string {
  return command.map((argument) => (isPlain(argument) ? argument : quoted(argument))).join(" ");
}

function isPlain(argument: string): boolean {
  return /^[A-Za-z0-9_@%+=:,./{}-]+$/.test(argument);
}

function quoted(argument: string): string {
  const shown = printablePath(argument);
  // Escapes are only understood by the shell in this form.
  if (shown !== argument) return `$'${shown.replaceAll("'", "\\'")}'`;
  return `'${argument.replaceAll("'", "'\\''")}'`;
}
