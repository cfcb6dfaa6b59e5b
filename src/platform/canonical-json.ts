/** One text for one JSON value: keys in the order of their code units, no white space (RFC 8785, for what JSON can hold). */
import { createHash } from "node:crypto";

/** The canonical text. @throws TypeError for what JSON cannot hold */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item)).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).filter(([, below]) => below !== undefined);
    const sorted = entries.toSorted(([a], [b]) => (a < b ? -1 : 1));
    return `{${sorted.map(([key, below]) => `${JSON.stringify(key)}:${canonicalJson(below)}`).join(",")}}`;
  }
  const isHeld = typeof value === "number" ? Number.isFinite(value) : isPlain(value);
  if (!isHeld) throw new TypeError(`expected a JSON value, found ${typeof value}`);
  return JSON.stringify(value);
}

function isPlain(value: unknown): boolean {
  return value === null || typeof value === "string" || typeof value === "boolean";
}

/** SHA-256 of the canonical text, in hexadecimal. */
export function canonicalSha256(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}
