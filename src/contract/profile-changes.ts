/** Declarations of profiles that people change while jobs wait. What is set here counts over what runs declare. */
import { z } from "zod";
import { profileFields } from "./config.ts";
import { InvalidInputError } from "./errors.ts";
import { keysAt, type JsonSchema } from "./json-schema.ts";
import { CONTROL_PROFILE, profileName, type Profile } from "./profiles.ts";
import { schemaFaults } from "./schema-faults.ts";

const change = z.strictObject(profileFields).partial();
export type ProfileChange = Readonly<z.output<typeof change>>;

export const profileFieldNames = Object.keys(profileFields) as readonly (keyof ProfileChange)[];

/** By profile. */
export type ProfileChanges = ReadonlyMap<string, ProfileChange>;

/** @throws {InvalidInputError} with every fault and its place */
export function parseProfileChange(profile: string, input: unknown): ProfileChange {
  if (profile === CONTROL_PROFILE || !profileName.safeParse(profile).success) {
    const expected = `the name of a profile other than ${CONTROL_PROFILE}: lower-case letters, digits, - and _`;
    throw new InvalidInputError("profile", [{ where: "profile", expected, found: JSON.stringify(profile) }]);
  }
  const parsed = change.safeParse(input);
  if (parsed.success) return parsed.data;
  const keys = (path: readonly PropertyKey[]) => keysAt(z.toJSONSchema(change, { io: "input" }) as JsonSchema, path);
  throw new InvalidInputError(
    `profile ${profile}`,
    schemaFaults(parsed.error.issues, input, keys).map(({ where, expected, found }) => ({ where, expected, found })),
  );
}

/** What counts for jobs of a profile: what was set while they wait, over what their run declares. */
export function effectiveProfile(declared: Profile, change: ProfileChange | undefined): Profile {
  if (change === undefined) return declared;
  const { memory, gpu_memory: gpuMemory, cpu, labels } = change;
  return {
    ...declared,
    ...(memory !== undefined && { memoryBytes: memory }),
    ...(gpuMemory !== undefined && { gpuMemoryBytes: gpuMemory }),
    ...(cpu !== undefined && { cpuCores: cpu }),
    ...(labels !== undefined && { labels }),
  };
}
