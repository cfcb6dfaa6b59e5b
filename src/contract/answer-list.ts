/** Which answers a shape allows, where they can be listed, and how long the longest is. */
import type { AnswerShape } from "./answer-schema.ts";

/** A text takes so many bytes a character at most: four of UTF-8, which is more than an escape takes. */
const MAX_CHAR_BYTES = 4;

/** Every answer, or nothing where there are more than the limit. */
export function listAnswers(shape: AnswerShape, limit: number): readonly string[] | undefined {
  const listed = list(shape, limit);
  return listed === undefined ? undefined : [...new Set(listed)];
}

function list(shape: AnswerShape, limit: number): readonly string[] | undefined {
  switch (shape.kind) {
    case "literals":
      return within(shape.texts, limit);
    case "integer": {
      const count = shape.maximum - shape.minimum + 1;
      if (count > limit) return undefined;
      return Array.from({ length: count }, (_, index) => String(shape.minimum + index));
    }
    case "text":
      return shape.maxChars === 0 ? ['""'] : undefined;
    case "array":
      return listArrays(shape, limit);
    case "object":
      return listObjects(shape, limit);
    case "any": {
      const options = shape.options.map((option) => list(option, limit));
      const known = options.filter((option) => option !== undefined);
      return known.length < options.length ? undefined : within([...new Set(known.flat())], limit);
    }
  }
}

function listArrays(shape: Extract<AnswerShape, { kind: "array" }>, limit: number): readonly string[] | undefined {
  const all: string[] = [];
  for (let length = shape.minItems; length <= shape.maxItems; length++) {
    const parts = Array.from({ length }, (_, index) => ({
      head: index === 0 ? "" : ",",
      shape: shape.first?.[index] ?? shape.item,
    }));
    const listed = wrapped("[", product(parts, limit - all.length), "]");
    if (listed === undefined) return undefined;
    all.push(...listed);
  }
  return all;
}

function listObjects(
  { properties }: Extract<AnswerShape, { kind: "object" }>,
  limit: number,
): readonly string[] | undefined {
  let texts: readonly string[] = [""];
  for (const [name, property, isOptional = false] of properties) {
    const values = list(property, limit);
    if (values === undefined || texts.length * (values.length + (isOptional ? 1 : 0)) > limit) return undefined;
    // Nothing but an empty text has no property yet.
    const head = (text: string) => `${text}${text === "" ? "" : ","}${JSON.stringify(name)}:`;
    const longer = texts.flatMap((text) => values.map((value) => head(text) + value));
    texts = isOptional ? [...longer, ...texts] : longer;
  }
  return wrapped("{", within(texts, limit), "}");
}

interface Part {
  readonly head: string;
  readonly shape: AnswerShape;
}

function product(parts: readonly Part[], limit: number): readonly string[] | undefined {
  let texts: readonly string[] = [""];
  for (const { head, shape } of parts) {
    const values = list(shape, limit);
    if (values === undefined || values.length * texts.length > limit) return undefined;
    texts = texts.flatMap((text) => values.map((value) => text + head + value));
  }
  return within(texts, limit);
}

function wrapped(open: string, texts: readonly string[] | undefined, close: string): readonly string[] | undefined {
  return texts?.map((text) => open + text + close);
}

function within(texts: readonly string[], limit: number): readonly string[] | undefined {
  return texts.length > limit ? undefined : texts;
}

/** Bytes of the longest answer, or more; so many tokens are enough for any. */
export function longestAnswerBytes(shape: AnswerShape): number {
  switch (shape.kind) {
    case "literals":
      return Math.max(0, ...shape.texts.map((text) => Buffer.byteLength(text)));
    case "integer":
      return Math.max(String(shape.minimum).length, String(shape.maximum).length);
    case "text":
      return 2 + MAX_CHAR_BYTES * shape.maxChars;
    case "array": {
      const { first = [], item, maxItems } = shape;
      const others = Math.max(0, maxItems - first.length) * (1 + longestAnswerBytes(item));
      return first.reduce((sum, one) => sum + 1 + longestAnswerBytes(one), 2 + others);
    }
    case "object":
      return shape.properties.reduce(
        (sum, [name, property]) => sum + Buffer.byteLength(JSON.stringify(name)) + 2 + longestAnswerBytes(property),
        2,
      );
    case "any":
      return Math.max(0, ...shape.options.map(longestAnswerBytes));
  }
}
