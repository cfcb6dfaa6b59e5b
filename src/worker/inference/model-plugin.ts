/**
 * Loads the module that a manifest names for inputs or outputs, in the engine's process. What runs is the very bytes whose
 * digest was checked: they are imported as a `data:` URL, so the file is not read a second time, and neither packages nor
 * names of files beside it mean anything there.
 */
import { hash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { InvalidInputError, messageOf } from "../../contract/errors.ts";
import type { NamedPlugin } from "../../contract/model-plugins.ts";
import type { ModelFolder } from "../../platform/models/model-folder.ts";
import { callWithin } from "../governor/guarded-call.ts";
import { checkSettings } from "../plugin-settings.ts";
import type { InputReader, ModelContext, ModelPlugin, OutputReader, PluginTensor } from "../plugin.ts";

/** A larger file is no plugin. */
const MAX_BYTES = 4_194_304;
const OPEN_MS = 10_000;
const API = 1;

interface Readers {
  readonly input: InputReader;
  readonly output: OutputReader;
}
const methods = { input: "read", output: "answer" } as const;

type Told = (key: string, expected: string, found: string, cause?: unknown) => InvalidInputError;

/** Opens the plugin of one role. @throws {InvalidInputError} naming the place in the manifest, what was expected and found */
export async function openPlugin<R extends keyof Readers>(
  { folder, manifest }: ModelFolder,
  { file, sha256, settings, role }: NamedPlugin & { readonly role: R },
  tensors: readonly PluginTensor[],
): Promise<Readers[R]> {
  const fault: Told = (key, expected, found, cause) =>
    new InvalidInputError(`model ${folder}`, [{ where: `${role}.${key}`, expected, found }], { cause });
  const loaded = await within(importCode(readCode(join(folder, file), sha256, fault))).catch((error: unknown) => {
    throw fault("file", "a module that can be loaded", `${file}: ${shortened(messageOf(error))}`, error);
  });
  const plugin = pluginIn(loaded, file, fault);
  const checked = checkSettings(plugin.settings, settings, `${role}.settings`);
  const context: ModelContext = { model: manifest.name, role, tensors };
  let reader: unknown;
  try {
    reader = await within(Promise.resolve(callWithin(OPEN_MS, () => plugin.open(checked, context))));
  } catch (error) {
    throw fault("file", "a plugin that opens", `${file}: ${shortened(messageOf(error))}`, error);
  }
  if (isReader(role, reader)) return reader;
  throw fault("file", `a plugin that opens as an object with ${methods[role]}()`, `${file} without it`);
}

function pluginIn(loaded: Readonly<Record<string, unknown>>, file: string, fault: Told): ModelPlugin {
  const plugin = loaded["default"] as
    (Omit<Partial<ModelPlugin>, "api"> & { readonly api?: unknown }) | null | undefined;
  if (typeof plugin !== "object" || plugin === null || typeof plugin.open !== "function") {
    throw fault("file", "a module whose default export has api, settings and open", `${file} without them`);
  }
  if (plugin.api === API) return plugin as ModelPlugin;
  const found = plugin.api === undefined ? "none" : JSON.stringify(plugin.api);
  throw fault("file", `a plugin of api ${API}`, `${file} of api ${found}`);
}

function isReader<R extends keyof Readers>(role: R, reader: unknown): reader is Readers[R] {
  return typeof reader === "object" && reader !== null && typeof Reflect.get(reader, methods[role]) === "function";
}

function readCode(path: string, sha256: string, fault: Told): Buffer {
  let code: Buffer;
  try {
    const { size } = statSync(path);
    if (size > MAX_BYTES) throw fault("file", `a module of at most ${MAX_BYTES} bytes`, `${size}`);
    code = readFileSync(path);
  } catch (error) {
    if (error instanceof InvalidInputError) throw error;
    throw fault("file", `a file at ${path} that can be read`, messageOf(error), error);
  }
  const found = hash("sha256", code, "hex");
  if (found !== sha256) throw fault("sha256", `${path} with this digest: ${sha256}`, found);
  return code;
}

async function importCode(code: Buffer): Promise<Record<string, unknown>> {
  return (await import(`data:text/javascript;base64,${code.toString("base64")}`)) as Record<string, unknown>;
}

/** Errors of such a module name it by all of its code. */
function shortened(text: string): string {
  return text.replace(/data:text\/javascript;base64,[\w+/=]*/g, "the plugin");
}

function within<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`expected it within ${OPEN_MS} ms, found that it still waits`));
    }, OPEN_MS);
  });
  return Promise.race([work, late]).finally(() => {
    clearTimeout(timer);
  });
}
