/** What a plugin says of its settings, asked: those of the governor and those of models alike. */
import { z } from "zod";
import { InvalidInputError, messageOf, type Fault } from "../contract/errors.ts";
import { showPath } from "../contract/schema-faults.ts";
import type { SchemaLike, SettingsCheck } from "./plugin.ts";

/** The settings as the plugin takes them. @throws {InvalidInputError} with each that it refuses, placed below `where` */
export function checkSettings(check: SettingsCheck<unknown> | undefined, raw: unknown, where: string): unknown {
  if (check === undefined) return raw;
  if (typeof check === "function") {
    try {
      return check(raw);
    } catch (error) {
      throw new InvalidInputError("plugin", [{ where, expected: messageOf(error), found: JSON.stringify(raw) }], {
        cause: error,
      });
    }
  }
  const answer = schemaOf(check, where).safeParse(raw);
  if (answer.success) return answer.data;
  const faults = answer.error.issues.map(({ path, message }): Fault => {
    const found = path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], raw);
    const place = path.length === 0 ? where : `${where}.${showPath(path)}`;
    return { where: place, expected: message, found: found === undefined ? "nothing" : JSON.stringify(found) };
  });
  throw new InvalidInputError("plugin", faults);
}

/** A module that can import no library says with a JSON Schema what it takes. */
function schemaOf(
  check: Exclude<SettingsCheck<unknown>, (raw: unknown) => unknown>,
  where: string,
): SchemaLike<unknown> {
  try {
    return "safeParse" in check ? (check as SchemaLike<unknown>) : z.fromJSONSchema(check);
  } catch (error) {
    const expected = "the plugin's own rule for its settings to be a JSON Schema, a schema of zod or a function";
    throw new InvalidInputError("plugin", [{ where, expected, found: messageOf(error) }], { cause: error });
  }
}
