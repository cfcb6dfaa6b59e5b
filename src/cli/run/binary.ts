/** Finds the binary of a command as a shell would, and says what is wrong when it cannot be run. */
import { accessSync, closeSync, constants, openSync, readSync, statSync } from "node:fs";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import { resolveFrom } from "../../platform/current-folder.ts";
import type { Io } from "../io.ts";
import { InvalidInputError } from "../../contract/errors.ts";

/** Linux looks at no more of a script (BINPRM_BUF_SIZE). */
const INTERPRETER_BYTES = 256;

interface Search {
  /** Where the name stands, for the error. */
  readonly where: string;
  readonly cwd: string;
  readonly path: string | undefined;
}

/** The absolute path: a name with a slash as it is, one without from the PATH. @throws {InvalidInputError} */
export function resolveBinary(name: string, search: Search): string {
  if (name === "") throw fault(search, "the path of a binary", "an empty text");
  if (name.includes("/")) {
    const path = resolveFrom(search.cwd, name);
    const problem = problemWith(path);
    if (problem !== undefined) throw fault(search, "an executable file", `${problem} at ${path}`);
    return path;
  }
  const folders = (search.path ?? "").split(delimiter).filter((folder) => folder !== "");
  const candidates = folders.map((folder) => join(isAbsolute(folder) ? folder : resolve(search.cwd, folder), name));
  const found = candidates.find((path) => problemWith(path) === undefined);
  if (found !== undefined) return found;
  const near = candidates.find((path) => statSync(path, { throwIfNoEntry: false }) !== undefined);
  const what = near === undefined ? `no "${name}" in any folder of it` : `${problemWith(near) ?? "nothing"} at ${near}`;
  throw fault(search, `"${name}" to be an executable file on the PATH`, what);
}

/** Where the programs of agents are, as a shell here would find them. @throws {InvalidInputError} from what it returns */
export function agentPathOf({ cwd, env }: Pick<Io, "cwd" | "env">): (name: string) => string {
  return (name) => resolveBinary(name, { where: "agents", cwd, path: env["PATH"] });
}

function problemWith(path: string): string | undefined {
  let isFile: boolean;
  try {
    isFile = statSync(path).isFile();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    return code === "ENOENT" || code === "ENOTDIR" ? "nothing" : code;
  }
  if (!isFile) return "something that is not a file";
  try {
    accessSync(path, constants.X_OK);
  } catch {
    return "a file that is not executable";
  }
  const interpreter = interpreterOf(path);
  if (interpreter === undefined || statSync(interpreter, { throwIfNoEntry: false })?.isFile() === true)
    return undefined;
  return `a script whose interpreter ${interpreter} is not there`;
}

/** What the first line of a script names after `#!`, as execve(2) reads it; undefined for anything else. */
function interpreterOf(path: string): string | undefined {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return undefined; // may be run but not read: the kernel knows
  }
  try {
    const head = Buffer.alloc(INTERPRETER_BYTES);
    const text = head.toString("latin1", 0, readSync(file, head));
    return /^#![ \t]*([^ \t\n\0]+)[ \t\n]/.exec(text)?.[1];
  } finally {
    closeSync(file);
  }
}

function fault({ where }: Search, expected: string, found: string): InvalidInputError {
  return new InvalidInputError("command", [{ where, expected, found }]);
}
