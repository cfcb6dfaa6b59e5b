/** A planner behind an endpoint that speaks the chat protocol of OpenAI: one request per call, never repeated here. */
import { readFileSync } from "node:fs";
import OpenAI, { APIConnectionError, APIError, APIUserAbortError } from "openai";
import { z } from "zod";
import { InvalidInputError, messageOf } from "../../contract/errors.ts";
import type { OpenAiSettings } from "../../contract/planners.ts";
import { field } from "../../contract/schema-faults.ts";
import type { CallFailureKind, Planner, PlannerReply, PlanRequest, PlanUsage } from "./planner.ts";
import { redact } from "./redact.ts";

type Environment = Readonly<Record<string, string | undefined>>;
type Body = OpenAI.ChatCompletionCreateParamsNonStreaming;

/** What is read of an answer; the types of the client promise it, the other side may send anything. */
const completion = z.looseObject({
  choices: z
    .array(
      z.looseObject({
        finish_reason: z.string().nullish(),
        message: z.looseObject({ content: z.string().nullish(), refusal: z.string().nullish() }),
      }),
    )
    .min(1),
});
const tokens = z.looseObject({ prompt_tokens: z.int().nonnegative(), completion_tokens: z.int().nonnegative() });

const SHOWN_CHARS = 300;
/** The envelope around an answer. */
const ENVELOPE_BYTES = 65_536;
/** The loop ends a call; the client's own limit must not come first. */
const CLIENT_TIMEOUT_MS = 86_400_000;

export class OpenAiPlanner implements Planner {
  readonly kind = "openai";
  readonly model: string;
  readonly tellsCost: boolean;
  readonly #settings: OpenAiSettings;
  readonly #client: OpenAI;
  readonly #secrets: readonly string[];
  #format: OpenAiSettings["response_format"];

  /** @throws {InvalidInputError} when the key is not where the settings say */
  constructor(settings: OpenAiSettings, env: Environment) {
    const key = loadKey(settings, env);
    this.#settings = settings;
    this.model = settings.model;
    this.tellsCost =
      settings.usd_per_million_input_tokens !== undefined && settings.usd_per_million_output_tokens !== undefined;
    this.#secrets = key === undefined ? [] : [key];
    this.#format = settings.response_format;
    this.#client = new OpenAI({
      baseURL: settings.url,
      // Without a key the client looks for one of its own in the environment.
      apiKey: key ?? "none",
      organization: null,
      project: null,
      maxRetries: 0,
      timeout: CLIENT_TIMEOUT_MS,
      logLevel: "off",
      fetch: (url, init) => fetchWithin(settings.answer_max_bytes * 2 + ENVELOPE_BYTES, url, init),
    });
  }

  async plan(request: PlanRequest, signal: AbortSignal): Promise<PlannerReply> {
    signal.throwIfAborted();
    try {
      return this.#read(await this.#client.chat.completions.create(this.#bodyOf(request), { signal }));
    } catch (error) {
      signal.throwIfAborted();
      return this.#failureOf(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Connections that stand idle hold nothing up.
  }

  #bodyOf({ messages, schema, maxOutputTokens }: PlanRequest): Body {
    const format = {
      schema: {
        response_format: {
          type: "json_schema" as const,
          json_schema: { name: "flow", strict: false, schema: schema as Record<string, unknown> },
        },
      },
      json: { response_format: { type: "json_object" as const } },
      none: {},
    }[this.#format];
    return {
      model: this.model,
      messages: messages.map(({ role, content }) => ({ role, content })),
      max_completion_tokens: maxOutputTokens,
      ...format,
    };
  }

  #read(sent: unknown): PlannerReply {
    const usage = this.#usageOf(field(sent, "usage"));
    const [choice] = completion.safeParse(sent).data?.choices ?? [];
    const text = choice?.message.content ?? choice?.message.refusal;
    if (choice === undefined || typeof text !== "string") {
      return this.#fail("unreadable", "the answer has no choices[0].message.content", usage);
    }
    if (choice.finish_reason === "length") {
      return this.#fail("cut-off", `the answer ends after ${text.length} characters: no more tokens were left`, usage);
    }
    const bytes = Buffer.byteLength(text);
    const maxBytes = this.#settings.answer_max_bytes;
    if (bytes > maxBytes) return this.#fail("too-long", `expected ${maxBytes} bytes at most, found ${bytes}`, usage);
    return { kind: "answered", text, usage };
  }

  #usageOf(sent: unknown): PlanUsage | undefined {
    const counts = tokens.safeParse(sent).data;
    if (counts === undefined) return undefined;
    const [inputTokens, outputTokens] = [counts.prompt_tokens, counts.completion_tokens];
    const { usd_per_million_input_tokens: input, usd_per_million_output_tokens: output } = this.#settings;
    const isPriced = input !== undefined && output !== undefined;
    const costUsd = isPriced ? (inputTokens * input + outputTokens * output) / 1_000_000 : null;
    return { inputTokens, outputTokens, costUsd };
  }

  #failureOf(error: unknown): PlannerReply {
    const long = causeOf(error, AnswerTooLong);
    if (long !== undefined) return this.#fail("too-long", long.message);
    if (error instanceof APIUserAbortError) return this.#fail("slow", "the request was ended");
    if (error instanceof APIConnectionError) return this.#fail("unreachable", rootMessage(error));
    if (error instanceof APIError) return this.#statusFailure(error as APIError);
    if (error instanceof SyntaxError) return this.#fail("unreadable", messageOf(error));
    // The connection ended while the answer was read.
    return this.#fail("cut-off", rootMessage(error));
  }

  #statusFailure(error: APIError): PlannerReply {
    const status: number = error.status ?? 0;
    const isAboutFormat = (status === 400 || status === 422) && /response_format|json_schema/i.test(error.message);
    if (isAboutFormat && this.#format !== "none") {
      this.#format = this.#format === "schema" ? "json" : "none";
      return this.#fail("unknown-format", error.message);
    }
    const retryAfterMs = retryAfterMsOf(error.headers);
    const failed = this.#fail(failureOfStatus(status), error.message);
    return retryAfterMs === undefined ? failed : { ...failed, retryAfterMs };
  }

  #fail(failure: CallFailureKind, message: string, usage?: PlanUsage): Extract<PlannerReply, { kind: "failed" }> {
    const shown = redact(message, this.#secrets).replace(/\s+/g, " ").slice(0, SHOWN_CHARS);
    return { kind: "failed", failure, message: shown, ...(usage !== undefined && { usage }) };
  }
}

function failureOfStatus(status: number): CallFailureKind {
  if (status === 429) return "throttled";
  if (status === 408 || status === 504) return "slow";
  return status >= 500 ? "broken" : "rejected";
}

/** Seconds, or a date, as HTTP has it. */
function retryAfterMsOf(headers: Headers | undefined): number | undefined {
  const text = headers?.get("retry-after");
  if (text === null || text === undefined) return undefined;
  const seconds = Number(text);
  const ms = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, Math.round(ms)) : undefined;
}

class AnswerTooLong extends Error {}

/** A body that is longer than `maxBytes` is not read to its end. */
async function fetchWithin(maxBytes: number, url: string | URL | Request, init?: RequestInit): Promise<Response> {
  const response = await fetch(url, init);
  let bytes = 0;
  const counting = new TransformStream<Uint8Array, Uint8Array>({
    transform: (chunk, controller) => {
      bytes += chunk.byteLength;
      if (bytes > maxBytes) controller.error(new AnswerTooLong(`more than ${maxBytes} bytes were sent`));
      else controller.enqueue(chunk);
    },
  });
  const { status, statusText, headers } = response;
  return new Response(response.body?.pipeThrough(counting) ?? null, { status, statusText, headers });
}

function loadKey({ key_env: name, key_file: file }: OpenAiSettings, env: Environment): string | undefined {
  if (name !== undefined) {
    const value = env[name]?.trim() ?? "";
    if (value !== "") return value;
    throw keyFault("key_env", `a value in the variable ${name}`, "nothing");
  }
  if (file === undefined) return undefined;
  let text: string;
  try {
    text = readFileSync(file, "utf8").trim();
  } catch (error) {
    throw keyFault("key_file", "a readable file", messageOf(error));
  }
  if (text === "" || text.includes("\n"))
    throw keyFault("key_file", `one line in ${file}`, text === "" ? "none" : "more");
  return text;
}

function keyFault(where: string, expected: string, found: string): InvalidInputError {
  return new InvalidInputError("planner", [{ where, expected, found }]);
}

function causeOf<T extends Error>(error: unknown, kind: new (...parameters: never[]) => T): T | undefined {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) if (cause instanceof kind) return cause;
  return undefined;
}

function rootMessage(error: unknown): string {
  let message = messageOf(error);
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) message = cause.message || message;
  return message;
}
