/** Puts a profile into a configuration file, and leaves all else in it as it is, comments included. */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { parseDocument } from "yaml";
import { InvalidInputError, messageOf } from "../../contract/errors.ts";
import { MiB } from "../../contract/resources.ts";
import type { Proposal } from "./proposal.ts";

/** @throws {InvalidInputError} when the file is no YAML or cannot be written */
export function writeProfile(path: string, name: string, { memoryBytes, cpuCores }: Proposal): void {
  try {
    const document = parseDocument(existsSync(path) ? readFileSync(path, "utf8") : "{}\n");
    const [fault] = document.errors;
    if (fault !== undefined) throw fault;
    document.setIn(["profiles", name, "memory"], `${Math.round(memoryBytes / MiB)}MiB`);
    document.setIn(["profiles", name, "cpu"], cpuCores);
    if (name !== "default") document.setIn(["profile"], name);
    const draft = `${path}.new`;
    writeFileSync(draft, document.toString());
    renameSync(draft, path);
  } catch (error) {
    const fault = { where: "--write", expected: "a configuration file that can be written", found: messageOf(error) };
    throw new InvalidInputError("command line", [fault], { cause: error });
  }
}
