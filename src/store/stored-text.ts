/** Texts as both engines take them: PostgreSQL has no NUL, and neither has half of a surrogate pair. */

/** A text for people: NUL becomes its visible sign, half of a surrogate pair the replacement character. */
export function cleanText(text: string): string {
  const whole = text.isWellFormed() ? text : text.toWellFormed();
  return whole.includes("\0") ? whole.replaceAll("\0", "\u2400") : whole;
}

export function cleanOrNull(text: string | null): string | null {
  return text === null ? null : cleanText(text);
}

/** JSON text of a value; it is plain ASCII wherever an engine would refuse the character. */
export function toJson(value: unknown): string {
  return JSON.stringify(value);
}
