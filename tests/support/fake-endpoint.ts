/** A real HTTP server that speaks the chat protocol, in several moods. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { plannerSchema, type OpenAiSettings } from "../../src/contract/planners.ts";

export const KEY = "sk-test-very-secret-key";

export interface Question {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: Record<string, unknown>;
}

/** Answers one request, whose body has arrived. */
export type Answerer = (response: ServerResponse, question: Question) => void;

export interface FakeEndpoint extends AsyncDisposable {
  readonly questions: readonly Question[];
  readonly settings: OpenAiSettings;
  /** Connections with a request that has no answer. */
  readonly open: number;
}

export async function startEndpoint(answer: Answerer, more: Partial<OpenAiSettings> = {}): Promise<FakeEndpoint> {
  const questions: Question[] = [];
  const sockets = new Set<Socket>();
  let open = 0;
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    open += 1;
    response.once("close", () => {
      open -= 1;
    });
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const body = JSON.parse(text) as Record<string, unknown>;
    const question = { path: request.url ?? "", authorization: request.headers.authorization, body };
    questions.push(question);
    answer(response, question);
  };
  const server = createServer((request, response) => void handle(request, response));
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    // A client that has gone is none of the server's business.
    socket.on("error", () => undefined);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  const written = { kind: "openai", url, model: "m", answer_max_bytes: 10_000, key_env: "KEY", ...more };
  return {
    questions,
    settings: plannerSchema.parse(written) as OpenAiSettings,
    get open() {
      return open;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** The envelope around an answer. */
export function completion(text: string | null, more: object = {}): object {
  return {
    id: "c1",
    object: "chat.completion",
    created: 1,
    model: "m",
    choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content: text } }],
    usage: { prompt_tokens: 120, completion_tokens: 30, total_tokens: 150 },
    ...more,
  };
}

export function sendJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(value));
}
