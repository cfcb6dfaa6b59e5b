/** Traces over real HTTP to a collector of the test, and what they cost where there is none. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pathToFileURL } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { Cli, type Running } from "../cli/cli-process.ts";

const PATIENT = { timeout: 60_000, interval: 50 };

const body = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({
        attributes: z.array(z.object({ key: z.string(), value: z.object({ stringValue: z.string().optional() }) })),
      }),
      scopeSpans: z.array(
        z.object({
          spans: z.array(
            z.object({
              name: z.string(),
              traceId: z.string(),
              spanId: z.string(),
              parentSpanId: z.string().optional(),
              startTimeUnixNano: z.coerce.bigint(),
              endTimeUnixNano: z.coerce.bigint(),
              status: z.object({ code: z.number() }),
            }),
          ),
        }),
      ),
    }),
  ),
});
type Span = z.output<typeof body>["resourceSpans"][number]["scopeSpans"][number]["spans"][number];

async function startCollector(): Promise<{
  readonly url: string;
  readonly spans: Span[];
  readonly services: Set<string>;
}> {
  const [spans, services] = [[] as Span[], new Set<string>()];
  const server = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (part: string) => (text += part));
    request.on("end", () => {
      for (const { resource, scopeSpans } of body.parse(JSON.parse(text)).resourceSpans) {
        const name = resource.attributes.find(({ key }) => key === "service.name")?.value.stringValue;
        services.add(`${request.url ?? ""} ${name ?? ""}`);
        spans.push(...scopeSpans.flatMap((scope) => scope.spans));
      }
      response.setHeader("Content-Type", "application/json").end("{}");
    });
  });
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, spans, services };
}

/** Tells at the end how many modules of OpenTelemetry the process had loaded, but for its API, which prom-client loads. */
const COUNT_MODULES = `import Module from "node:module";
import { isMainThread } from "node:worker_threads";
// The threads of the process load this too, and none of them tells spans.
if (isMainThread) process.on("exit", () => {
  const loaded = Object.keys(Module._cache).filter((path) => /@opentelemetry[/](?!api[/])/.test(path));
  process.stderr.write("modules of telemetry: " + loaded.length + "\\n");
});
`;

/** A whole cluster in one process, and its URLs. */
async function up(cli: Cli, env: Readonly<Record<string, string>>) {
  const preload = pathToFileURL(cli.scratch.file("count.mjs", COUNT_MODULES)).href;
  const all = { NODE_OPTIONS: `--import=${preload}`, OTEL_BSP_SCHEDULE_DELAY: "100", ...env };
  const running = cli.start(["up", "--json", "--board-port", "0", "--intake-port", "0", "--ops-port", "0"], {
    env: all,
  });
  await expect.poll(() => running.stdout(), PATIENT).toContain("\n");
  return { running, ...(JSON.parse(running.stdout()) as { intake: string; metrics: string }) };
}

async function modulesOf(running: Running): Promise<number> {
  running.child.kill("SIGTERM");
  const { stderr } = await running.ended;
  return Number(/modules of telemetry: (\d+)/.exec(stderr)?.[1]);
}

function runBody(cli: Cli, script: string): RequestInit {
  const { path } = cli.scratch;
  const request = {
    command: ["/bin/sh", "-c", script, "sh", "{input}"],
    input: `${path}/in`,
    output: { root: `${path}/out`, from: "stdout" },
  };
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(request) };
}

describe("traces", () => {
  test("tell of a run from its enqueuing to its outputs, under the id of the caller", async () => {
    const collector = await startCollector();
    await using cli = new Cli();
    cli.scratch.file("in/good", "good");
    cli.scratch.file("in/bad", "bad");
    const { running, intake, metrics } = await up(cli, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
    const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
    const request = runBody(cli, 'case "$1" in *bad) exit 3;; esac; printf "%s" "$TRACEPARENT"');
    const headers = { "Content-Type": "application/json", traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
    const answer = await fetch(`${intake}/v1/runs`, { ...request, headers });
    expect(answer.status, await answer.clone().text()).toBe(201);
    const named = (name: string) => collector.spans.filter((span) => span.name === name);
    await expect.poll(() => named("run").length, PATIENT).toBe(1);
    await expect.poll(() => named("publish").length, PATIENT).toBeGreaterThan(1);
    const [run] = named("run");
    expect(run).toMatchObject({ traceId, spanId: traceId.slice(16), status: { code: 2 } });
    for (const name of ["enqueue", "wait", "spawn", "publish"]) {
      expect(named(name).length, name).toBeGreaterThan(0);
      for (const span of named(name)) expect(span, name).toMatchObject({ traceId, parentSpanId: run?.spanId });
    }
    const waits = new Set(named("wait").map(({ spanId }) => spanId));
    expect(named("governor")).toHaveLength(waits.size);
    for (const { parentSpanId = "" } of named("governor")) expect(waits.has(parentSpanId)).toBe(true);
    for (const span of collector.spans) expect(span.endTimeUnixNano).toBeGreaterThanOrEqual(span.startTimeUnixNano);
    expect(named("spawn").map(({ status }) => status.code)).toContain(2);
    expect([...collector.services]).toEqual(["/v1/traces headroom-up"]);
    const exposed = await fetch(metrics);
    expect(exposed.headers.get("content-type")).toContain("application/openmetrics-text");
    expect(await exposed.text()).toMatch(
      new RegExp(`headroom_file_duration_seconds_bucket\\{[^}]*\\} \\d+ # \\{trace_id="${traceId}"\\} `),
    );
    expect(await modulesOf(running)).toBeGreaterThan(5);
  });

  test("load nothing where no collector is named", async () => {
    await using cli = new Cli();
    const { running, metrics } = await up(cli, {});
    expect((await fetch(metrics)).headers.get("content-type")).toContain("text/plain");
    expect(await modulesOf(running)).toBe(0);
  });

  test("cost a run nothing when the collector does not answer", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/good", "good");
    const { running, intake } = await up(cli, { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9" });
    const answer = await fetch(`${intake}/v1/runs`, runBody(cli, 'cat "$1"'));
    const { id } = (await answer.json()) as { id: string };
    const state = async () => ((await (await fetch(`${intake}/v1/runs/${id}`)).json()) as { state: string }).state;
    await expect.poll(state, PATIENT).toBe("succeeded");
    running.child.kill("SIGTERM");
    expect((await running.ended).code).toBe(0);
  });
});
