/** Keys never reach a message, a log or a file, whatever the other side repeats. */

/** Shorter texts are no keys, and occur by chance. */
const LEAST_CHARS = 4;

/** The text with every secret starred out. */
export function redact(text: string, secrets: readonly string[]): string {
  return secrets
    .filter((secret) => secret.length >= LEAST_CHARS)
    .reduce((shown, secret) => shown.replaceAll(secret, "***"), text);
}
