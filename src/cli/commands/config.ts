/** `headroom config`: makes, checks and shows configuration files. */
import type { Command } from "commander";
import { closeSync, openSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { configJsonSchema } from "../../contract/config-json-schema.ts";
import { exitCodes, InvalidInputError, messageOf } from "../../contract/errors.ts";
import { resolveFrom } from "../../platform/current-folder.ts";
import { loadConfig } from "../../platform/config-file.ts";
import { exampleConfig, printConfig, withoutPasswords } from "../../platform/config-text.ts";
import { act, addJsonOption, describeCommand, type Invocation } from "../command-line.ts";
import { print, printJson } from "../io.ts";

interface JsonFlag {
  readonly json?: boolean;
}

export function configCommand(invocation: Invocation): Command {
  return describeCommand("config", "make, check and show configuration files", [
    "headroom config init",
    "headroom config validate run.yaml",
    "headroom config print run.yaml --json",
  ])
    .addCommand(initCommand(invocation))
    .addCommand(validateCommand(invocation))
    .addCommand(printCommand(invocation))
    .addCommand(schemaCommand(invocation));
}

function initCommand(invocation: Invocation): Command {
  const command = describeCommand("init", "write a commented example", [
    "headroom config init",
    "headroom config init - | less",
  ]);
  return addJsonOption(command.argument("[file]", "where to write it; - is standard output", "headroom.yaml")).action(
    act(invocation, (file: string, flags: JsonFlag) => {
      const { io } = invocation;
      const isJson = flags.json === true;
      if (file === "-") {
        if (isJson) printJson(io, { text: exampleConfig });
        else print(io, exampleConfig);
      } else {
        const path = resolveFrom(io.cwd, file);
        writeNew(path);
        if (isJson) printJson(io, { file: path });
        else print(io, `wrote ${path}`);
      }
      return Promise.resolve(undefined);
    }),
  );
}

/** Somebody's own file is never overwritten. */
function writeNew(path: string): void {
  try {
    const handle = openSync(path, "wx");
    writeSync(handle, exampleConfig);
    closeSync(handle);
  } catch (error) {
    throw new InvalidInputError("config init", [{ where: "file", ...faultOf(path, error) }], { cause: error });
  }
}

function faultOf(path: string, error: unknown): { expected: string; found: string } {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "EEXIST") return { expected: "a name that is free", found: `a file at ${path}` };
  const expected = "a name in a folder that is there and may be written";
  if (code === "ENOENT") return { expected, found: `no folder ${dirname(path)}` };
  return { expected, found: messageOf(error) };
}

function validateCommand(invocation: Invocation): Command {
  const command = describeCommand("validate", "check a file and report every fault", [
    "headroom config validate run.yaml",
  ]);
  return addJsonOption(command.argument("<file>", "configuration file")).action(
    act(invocation, (file: string, flags: JsonFlag) => {
      const { io } = invocation;
      if (flags.json === true) return Promise.resolve(validateAsJson(invocation, file));
      load(invocation, file);
      print(io, `${file} is valid`);
      return Promise.resolve(undefined);
    }),
  );
}

/** A program gets the faults on standard output; the exit code is the same. */
function validateAsJson(invocation: Invocation, file: string): number {
  try {
    load(invocation, file);
    printJson(invocation.io, { file, valid: true, faults: [] });
    return exitCodes.ok;
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    printJson(invocation.io, { file, valid: false, faults: error.faults });
    return error.exitCode;
  }
}

function printCommand(invocation: Invocation): Command {
  const command = describeCommand("print", "show the effective values: file, environment and defaults", [
    "headroom config print run.yaml",
    "HEADROOM_RESOURCES_MAX_PROCESSES=2 headroom config print run.yaml --json",
  ]);
  return addJsonOption(command.argument("[file]", "configuration file; none shows the defaults")).action(
    act(invocation, (file: string | undefined, flags: JsonFlag) => {
      const config = load(invocation, file);
      if (flags.json === true) printJson(invocation.io, withoutPasswords(config));
      else print(invocation.io, printConfig(config));
      return Promise.resolve(undefined);
    }),
  );
}

function schemaCommand(invocation: Invocation): Command {
  return describeCommand("schema", "print the JSON Schema, for editors", [
    "headroom config schema > headroom.schema.json",
  ]).action(
    act(invocation, () => {
      printJson(invocation.io, configJsonSchema());
      return Promise.resolve(undefined);
    }),
  );
}

function load({ io }: Invocation, file: string | undefined) {
  return loadConfig({ ...(file === undefined ? {} : { file }), env: io.env, cwd: io.cwd });
}
