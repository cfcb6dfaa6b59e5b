import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { InvalidInputError } from "../../../../src/contract/errors.ts";
import type { OpenAiSettings } from "../../../../src/contract/planners.ts";
import { OpenAiPlanner } from "../../../../src/producer/planner/openai.ts";
import { completion, KEY, sendJson, startEndpoint, type Answerer } from "../../../support/fake-endpoint.ts";
import { describePlanner, requestOf } from "../../../support/planner-conformance.ts";
import { makeTempFolder } from "../../../support/temp-folder.ts";

const env = { KEY };

describePlanner({
  name: "openai",
  maxBytes: 10_000,
  canHang: true,
  secret: KEY,
  open: async (backend) => {
    const endpoint = await startEndpoint((response) => {
      if (backend.does === "answer") sendJson(response, 200, completion(backend.text));
      if (backend.does === "fail") sendJson(response, 500, { error: { message: `broken\nwith ${KEY}` } });
    });
    const planner = new OpenAiPlanner(endpoint.settings, env);
    return {
      planner,
      asked: () => expect.poll(() => endpoint.questions.length).toBe(1),
      isQuiet: () => Promise.resolve(endpoint.open === 0),
      [Symbol.asyncDispose]: async () => {
        await planner[Symbol.asyncDispose]();
        await endpoint[Symbol.asyncDispose]();
      },
    };
  },
});

async function ask(answer: Answerer, more: Partial<OpenAiSettings> = {}) {
  await using endpoint = await startEndpoint(answer, more);
  const reply = await new OpenAiPlanner(endpoint.settings, env).plan(requestOf(), new AbortController().signal);
  return { reply, questions: endpoint.questions };
}

describe("an endpoint", () => {
  test("gets the messages, the model, the schema, the limit and the key", async () => {
    const { questions, reply } = await ask((response) => {
      sendJson(response, 200, completion("hello"));
    });
    expect(questions).toEqual([
      {
        path: "/v1/chat/completions",
        authorization: `Bearer ${KEY}`,
        body: {
          model: "m",
          messages: [
            { role: "system", content: "You plan." },
            { role: "user", content: "The goal: say hello to the world" },
          ],
          max_completion_tokens: 1_000,
          response_format: {
            type: "json_schema",
            json_schema: { name: "flow", strict: false, schema: { type: "object" } },
          },
        },
      },
    ]);
    expect(reply).toEqual({
      kind: "answered",
      text: "hello",
      usage: { inputTokens: 120, outputTokens: 30, costUsd: null },
    });
  });

  test("costs what its prices say", async () => {
    const prices = { usd_per_million_input_tokens: 10, usd_per_million_output_tokens: 100 };
    const { reply } = await ask((response) => {
      sendJson(response, 200, completion("hello"));
    }, prices);
    expect(reply.usage?.costUsd).toBeCloseTo(0.0042, 10);
  });

  test("that does not know the form of an answer is asked in a simpler one, call by call", async () => {
    await using endpoint = await startEndpoint((response, { body }) => {
      if (body["response_format"] === undefined) sendJson(response, 200, completion("hello"));
      else sendJson(response, 400, { error: { message: "unknown parameter: response_format" } });
    });
    const planner = new OpenAiPlanner(endpoint.settings, env);
    const unknown = { kind: "failed", failure: "unknown-format" };
    expect(await planner.plan(requestOf(), new AbortController().signal)).toMatchObject(unknown);
    expect(await planner.plan(requestOf(), new AbortController().signal)).toMatchObject(unknown);
    expect(await planner.plan(requestOf(), new AbortController().signal)).toMatchObject({ kind: "answered" });
    expect(
      endpoint.questions.map(({ body }) => (body["response_format"] as { type?: string } | undefined)?.type),
    ).toEqual(["json_schema", "json_object", undefined]);
  });

  test.each<[string, Answerer, object]>([
    [
      "has no time",
      (r) => {
        sendJson(r, 429, { error: { message: "slow down" } }, { "retry-after": "7" });
      },
      { failure: "throttled", retryAfterMs: 7_000 },
    ],
    [
      "has no time and does not say how long",
      (r) => {
        sendJson(r, 429, {});
      },
      { failure: "throttled" },
    ],
    [
      "fails",
      (r) => {
        sendJson(r, 500, { error: { message: "oh" } });
      },
      { failure: "broken", message: "500 oh" },
    ],
    [
      "is overloaded",
      (r) => {
        sendJson(r, 503, {}, { "retry-after": "1" });
      },
      { failure: "broken", retryAfterMs: 1_000 },
    ],
    [
      "does not know the key",
      (r) => {
        sendJson(r, 401, { error: { message: `bad key ${KEY}` } });
      },
      { failure: "rejected", message: "401 bad key ***" },
    ],
    [
      "does not know the model",
      (r) => {
        sendJson(r, 404, { error: { message: "no model m" } });
      },
      { failure: "rejected" },
    ],
    [
      "refuses the question",
      (r) => {
        sendJson(r, 400, { error: { message: "too many tokens" } });
      },
      { failure: "rejected" },
    ],
    [
      "cuts the connection before it answers",
      (r) => {
        r.destroy();
      },
      { failure: "unreachable" },
    ],
    [
      "cuts the connection in the middle",
      (r) => {
        r.writeHead(200, { "content-type": "application/json", "content-length": "9999" });
        r.write('{"choices":[', () => r.destroy());
      },
      { failure: "cut-off" },
    ],
    [
      "ends in the middle",
      (r) => {
        r.writeHead(200, { "content-type": "application/json" });
        r.end('{"choices":[');
      },
      { failure: "unreadable" },
    ],
    [
      "sends prose",
      (r) => {
        r.writeHead(200, { "content-type": "text/html" });
        r.end("<h1>It works</h1>");
      },
      { failure: "unreadable" },
    ],
    [
      "sends another JSON",
      (r) => {
        sendJson(r, 200, { hello: "world" });
      },
      { failure: "unreadable" },
    ],
    [
      "sends no choice",
      (r) => {
        sendJson(r, 200, completion("x", { choices: [] }));
      },
      { failure: "unreadable" },
    ],
    [
      "sends no text",
      (r) => {
        sendJson(r, 200, completion(null));
      },
      { failure: "unreadable" },
    ],
    [
      "sends null",
      (r) => {
        sendJson(r, 200, null);
      },
      { failure: "unreadable" },
    ],
    [
      "sends a choice that is none",
      (r) => {
        sendJson(r, 200, completion("x", { choices: [1] }));
      },
      { failure: "unreadable" },
    ],
    [
      "runs out of tokens",
      (r) => {
        sendJson(r, 200, completion("x", { choices: [{ finish_reason: "length", message: { content: "{" } }] }));
      },
      { failure: "cut-off", usage: { inputTokens: 120, outputTokens: 30, costUsd: null } },
    ],
    [
      "sends without end",
      (r) => {
        r.writeHead(200, { "content-type": "application/json" });
        flood(r);
      },
      { failure: "too-long" },
    ],
    [
      "sends an error without end",
      (r) => {
        r.writeHead(500);
        flood(r);
      },
      { failure: "broken", message: expect.stringContaining("500") as string },
    ],
  ])("that %s is a failure of its kind", async (_what, answer, failure) => {
    const { reply, questions } = await ask(answer);
    expect(reply).toMatchObject({ kind: "failed", ...failure });
    expect(questions).toHaveLength(1);
  });

  test("that sends odd counts of tokens tells none", async () => {
    for (const usage of [undefined, null, {}, { prompt_tokens: "many" }, { prompt_tokens: -1, completion_tokens: 1 }]) {
      const { reply } = await ask((response) => {
        sendJson(response, 200, completion("hello", { usage }));
      });
      expect(reply).toEqual({ kind: "answered", text: "hello", usage: undefined });
    }
  });

  test("that is down cannot be reached", async () => {
    const endpoint = await startEndpoint(() => undefined);
    await endpoint[Symbol.asyncDispose]();
    const reply = await new OpenAiPlanner(endpoint.settings, env).plan(requestOf(), new AbortController().signal);
    expect(reply).toMatchObject({ kind: "failed", failure: "unreachable" });
    expect(reply.kind === "failed" && reply.message).toContain("ECONNREFUSED");
  });
});

describe("the key of an endpoint", () => {
  test("comes from a file", async () => {
    using folder = makeTempFolder();
    const file = join(folder.path, "key");
    writeFileSync(file, `${KEY}\n`);
    await using endpoint = await startEndpoint((response) => {
      sendJson(response, 200, completion("hello"));
    });
    const { key_env: _none, ...rest } = endpoint.settings;
    await new OpenAiPlanner({ ...rest, key_file: file }, {}).plan(requestOf(), new AbortController().signal);
    expect(endpoint.questions[0]?.authorization).toBe(`Bearer ${KEY}`);
  });

  test("is not looked for in other places", async () => {
    await using endpoint = await startEndpoint((response) => {
      sendJson(response, 200, completion("hello"));
    });
    const { key_env: _none, ...rest } = endpoint.settings;
    await new OpenAiPlanner(rest, { OPENAI_API_KEY: KEY }).plan(requestOf(), new AbortController().signal);
    expect(endpoint.questions[0]?.authorization).toBe("Bearer none");
  });

  test("that is missing is told by the name of its place", async () => {
    await using endpoint = await startEndpoint(() => undefined);
    const { settings } = endpoint;
    expect(() => new OpenAiPlanner(settings, {})).toThrow(InvalidInputError);
    expect(() => new OpenAiPlanner(settings, { KEY: " " })).toThrow("key_env: expected a value in the variable KEY");
    const { key_env: _none, ...rest } = settings;
    expect(() => new OpenAiPlanner({ ...rest, key_file: "/no/such" }, {})).toThrow(
      "key_file: expected a readable file",
    );
  });
});

function flood(response: Parameters<Answerer>[0]): void {
  const more = (): void => {
    while (!response.destroyed && response.write("x".repeat(65_536)));
    if (!response.destroyed) response.once("drain", more);
  };
  more();
}
