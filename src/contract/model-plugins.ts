/**
 * Code in a model's folder: which modules a manifest names, and whether the operator lets them run. A model is a folder that
 * people copy, so a module in it runs only where its digest was allowed; where nothing was said, none does.
 */
import { z } from "zod";
import { ANY, type Allow } from "./allow.ts";
import { bytes } from "./config-units.ts";
import type { Fault } from "./errors.ts";
import { fileName, sha256, tensorName } from "./model-parts.ts";
import { listed } from "./policy.ts";
import { MiB } from "./resources.ts";

const plugin = {
  kind: z.literal("plugin"),
  /** One module of JavaScript, in the model's folder. */
  file: fileName,
  sha256,
  /** Checked by the module. */
  settings: z.record(z.string(), z.unknown()).default({}),
};

/** Values of one row at most: 256 MiB of 32-bit floats. */
export const MAX_ROW_VALUES = 67_108_864;

export const pluginInput = z.strictObject({
  ...plugin,
  /** What the module gives for each file. */
  tensors: z
    .array(
      z.strictObject({
        tensor: tensorName,
        /** Of one file, without the dimension of the files. */
        shape: z.array(z.int().min(1).max(MAX_ROW_VALUES)).max(8),
      }),
    )
    .min(1)
    .max(64),
  max_bytes: bytes({ min: 1, max: 64 * MiB }).default(MiB),
});
export type PluginInput = Readonly<z.output<typeof pluginInput>>;

export const pluginOutput = z.strictObject({
  ...plugin,
  /** Outputs of the model that the module is given. */
  tensors: z.array(tensorName).min(1).max(64),
});
export type PluginOutput = Readonly<z.output<typeof pluginOutput>>;

/** A module that a manifest names. */
export type NamedPlugin = Pick<PluginInput, "file" | "sha256" | "settings"> & { readonly role: "input" | "output" };

interface MayName {
  readonly input: object;
  readonly output: object;
}

/** The modules that a manifest names, the one for inputs first. */
export function pluginsOf(manifest: MayName): NamedPlugin[] {
  return (["input", "output"] as const).flatMap((role) => {
    const part = manifest[role];
    return isPlugin(part) ? [{ role, file: part.file, sha256: part.sha256, settings: part.settings }] : [];
  });
}

function isPlugin(part: object): part is PluginInput | PluginOutput {
  return "kind" in part && part.kind === "plugin";
}

/** What `allow.model_plugins` says of modules, each that may not run with its place in the manifest. */
export function pluginFaults(plugins: readonly NamedPlugin[], allowed: Allow["model_plugins"] = []): Fault[] {
  if (allowed === ANY) return [];
  return plugins
    .filter((named) => !allowed.includes(named.sha256))
    .map(({ role, file, sha256: found }) => ({
      where: `${role}.sha256`,
      expected: `a plugin that allow.model_plugins names (${listed(allowed)})`,
      found: `${file} with ${found}; to let its code run, add that digest there`,
    }));
}
