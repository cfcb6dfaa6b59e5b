/** `prompt.yaml`: what a model is told about each file, with worked examples. A file of its own, so that it has a digest. */
import { parse } from "yaml";
import { z } from "zod";
import { InvalidInputError } from "../../../contract/errors.ts";
import { schemaFaults } from "../../../contract/schema-faults.ts";
import type { Message } from "./text-codec.ts";

/** Stands for the text of the file. */
export const FILE_TEXT = "{text}";

const promptTemplate = z.strictObject({
  version: z.literal(1),
  system: z.string().min(1).optional(),
  user: z.string().refine((text) => text.split(FILE_TEXT).length === 2, `a text that holds ${FILE_TEXT} once`),
  /** Characters of the file that are shown; more are cut off. */
  max_chars: z.int().min(1).max(1_000_000),
  /** Worked examples, told before the file in the same words. */
  examples: z.array(z.strictObject({ text: z.string(), answer: z.record(z.string(), z.unknown()) })).default([]),
});
export type PromptTemplate = Readonly<z.output<typeof promptTemplate>>;

/** @throws InvalidInputError naming every fault */
export function parsePromptTemplate(text: string): PromptTemplate {
  const raw: unknown = parse(text);
  const parsed = promptTemplate.safeParse(raw);
  if (parsed.success) return parsed.data;
  throw new InvalidInputError(
    "the prompt template",
    schemaFaults(parsed.error.issues, raw, () => Object.keys(promptTemplate.shape)),
  );
}

/** The conversation about one file, up to the answer that is wanted. */
export function messagesFor(template: PromptTemplate, text: string): Message[] {
  const asked = (shown: string): Message => {
    // A replacement text would read dollar signs of the file as patterns.
    const content = template.user.replace(FILE_TEXT, () => cut(shown, template.max_chars));
    return { role: "user", content };
  };
  const examples = template.examples.flatMap((example): Message[] => [
    asked(example.text),
    { role: "assistant", content: JSON.stringify(example.answer) },
  ]);
  const system: Message[] = template.system === undefined ? [] : [{ role: "system", content: template.system }];
  return [...system, ...examples, asked(text)];
}

/** By UTF-16 units, as training did, but never through the middle of a character. */
function cut(text: string, maxChars: number): string {
  const shown = text.slice(0, maxChars);
  return shown.isWellFormed() || !text.isWellFormed() ? shown : shown.slice(0, -1);
}
