/** Secrets by file: `HEADROOM_X_FILE` names a file that holds what `HEADROOM_X` would be, as mounted secrets do. */
import { readFileSync } from "node:fs";
import { InvalidInputError, messageOf, type Fault } from "../contract/errors.ts";
import type { Io } from "./io.ts";

/** The variables that hold a secret, or may: a URL can carry a password. */
export const secretVariables = [
  "HEADROOM_REDIS_URL",
  "HEADROOM_STORE_URL",
  "HEADROOM_PRODUCER_TOKEN",
  "HEADROOM_BOARD_TOKEN",
] as const;

/** The variable that names the file of a secret. */
export function fileVariableOf(variable: string): string {
  return `${variable}_FILE`;
}

/**
 * The environment with the secrets that files hold. One line break at a file's end is not part of the secret.
 * @throws {InvalidInputError} naming each file that cannot be read or is empty, and each secret that is given twice
 */
export function readSecretFiles(env: Io["env"]): Io["env"] {
  const faults: Fault[] = [];
  const found: Record<string, string> = {};
  for (const variable of secretVariables) {
    const where = fileVariableOf(variable);
    const path = env[where];
    if (path === undefined) continue;
    if (env[variable] !== undefined) {
      faults.push({ where, expected: `it or ${variable}`, found: "both" });
      continue;
    }
    const secret = readSecret(path);
    if (secret.kind === "read") found[variable] = secret.text;
    else faults.push({ where, expected: `a file at ${JSON.stringify(path)} that holds the value`, found: secret.why });
  }
  if (faults.length > 0) throw new InvalidInputError("environment", faults);
  return { ...env, ...found };
}

type Secret = { readonly kind: "read"; readonly text: string } | { readonly kind: "missing"; readonly why: string };

function readSecret(path: string): Secret {
  try {
    const text = readFileSync(path, "utf8").replace(/\r?\n$/, "");
    return text.trim() === "" ? { kind: "missing", why: "an empty one" } : { kind: "read", text };
  } catch (error) {
    return { kind: "missing", why: messageOf(error) };
  }
}
