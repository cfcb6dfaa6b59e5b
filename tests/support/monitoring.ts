/**
 * A real Prometheus with the rules of this project, and a real Alertmanager that sends to a webhook of the test. Its
 * configuration is that of `deploy/prometheus`, quicker: intervals of a second or two, and no alert waits longer than `FOR` for its
 * condition to last. Expressions, labels and windows are as they are shipped.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { vi } from "vitest";
import { parse as parseYaml, stringify } from "yaml";
import { z } from "zod";
import { TRACE_LABEL } from "../../src/platform/metrics.ts";
import { Scratch } from "./scratch.ts";

const deploy = join(import.meta.dirname, "../../deploy/prometheus");
const EVERY = "1s";
/** A process that Redis does not answer tells its metrics after a second: a scrape must wait longer than that. */
const SCRAPE = "2s";
const FOR = "2s";
const READY = { timeout: 30_000, interval: 50 };

/** One process to scrape. */
export interface Target {
  readonly url: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** A notice as the webhook got it. */
export interface Notice {
  readonly alert: string;
  readonly status: "firing" | "resolved";
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const notices = z.object({
  alerts: z.array(
    z.object({
      status: z.enum(["firing", "resolved"]),
      labels: z.record(z.string(), z.string()),
      annotations: z.record(z.string(), z.string()),
    }),
  ),
});

const answer = z.object({
  status: z.literal("success"),
  data: z.object({
    result: z.array(z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) })),
  }),
});

const exemplars = z.object({
  data: z.array(z.object({ exemplars: z.array(z.object({ labels: z.record(z.string(), z.string()) })) })),
});

/** A series and its value now. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export class Monitoring implements AsyncDisposable {
  readonly notices: Notice[] = [];
  readonly #scratch = new Scratch();
  readonly #processes: ChildProcess[] = [];
  #webhook: Server | undefined;
  #url = "";

  /** Starts all three and waits until every target was scraped. */
  static async start(targets: readonly Target[]): Promise<Monitoring> {
    const monitoring = new Monitoring();
    try {
      await monitoring.#start(targets);
    } catch (error) {
      await monitoring[Symbol.asyncDispose]();
      throw error;
    }
    return monitoring;
  }

  /** What a query answers now. @throws when Prometheus refuses it */
  async query(expr: string): Promise<readonly Sample[]> {
    const response = await fetch(`${this.#url}/api/v1/query?${new URLSearchParams({ query: expr }).toString()}`);
    const text = await response.text();
    if (!response.ok) throw new Error(`expected an answer to ${expr}, found ${response.status}: ${text}`);
    return answer
      .parse(JSON.parse(text))
      .data.result.map(({ metric, value: [, value] }) => ({ labels: metric, value: Number(value) }));
  }

  /** The traces that exemplars of what an expression selects name, of the last hour. */
  async traces(expr: string): Promise<readonly string[]> {
    const nowSeconds = Date.now() / 1_000;
    const query = { query: expr, start: String(nowSeconds - 3_600), end: String(nowSeconds + 60) };
    const response = await fetch(`${this.#url}/api/v1/query_exemplars?${new URLSearchParams(query).toString()}`);
    const series = exemplars.parse(await response.json()).data;
    return series.flatMap((one) => one.exemplars.flatMap(({ labels }) => labels[TRACE_LABEL] ?? []));
  }

  /** The last notice of an alert that is about these labels. */
  last(alert: string, labels: Readonly<Record<string, string>> = {}): Notice | undefined {
    return this.notices.findLast(
      (notice) =>
        notice.alert === alert && Object.entries(labels).every(([name, value]) => notice.labels[name] === value),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#processes) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill("SIGTERM");
      await once(child, "exit");
    }
    this.#webhook?.closeAllConnections();
    this.#webhook?.close();
    this.#scratch[Symbol.dispose]();
  }

  async #start(targets: readonly Target[]): Promise<void> {
    const webhook = await this.#listen();
    const [alertmanager, prometheus] = [await freePort(), await freePort()];
    this.#url = `http://127.0.0.1:${prometheus}`;
    this.#run("prometheus-alertmanager", [
      `--config.file=${this.#write("alertmanager.yml", alertmanagerConfig(webhook))}`,
      `--web.listen-address=127.0.0.1:${alertmanager}`,
      "--cluster.listen-address=",
      `--storage.path=${this.#scratch.folder("alertmanager")}`,
    ]);
    mkdirSync(join(this.#scratch.path, "rules"));
    for (const name of readdirSync(join(deploy, "rules")).filter((file) => file.endsWith(".rules.yml"))) {
      this.#write(join("rules", name), shortenRules(readFileSync(join(deploy, "rules", name), "utf8")));
    }
    this.#run("prometheus", [
      `--config.file=${this.#write("prometheus.yml", prometheusConfig(targets, alertmanager))}`,
      `--web.listen-address=127.0.0.1:${prometheus}`,
      `--storage.tsdb.path=${this.#scratch.folder("prometheus")}`,
      ...featuresOfCompose(),
    ]);
    await vi.waitFor(async () => {
      const scraped = (await this.query('sum(up{job="headroom"})'))[0]?.value ?? 0;
      if (scraped !== targets.length) throw new Error(`expected ${targets.length} targets to be up, found ${scraped}`);
    }, READY);
  }

  #listen(): Promise<number> {
    const server = createServer((request, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (text: string) => (body += text));
      request.on("end", () => {
        for (const { status, labels, annotations } of notices.parse(JSON.parse(body)).alerts) {
          this.notices.push({ alert: labels["alertname"] ?? "", status, labels, annotations });
        }
        response.end();
      });
    });
    this.#webhook = server;
    return new Promise((resolve) => {
      server.listen(0, "127.0.0.1", () => {
        resolve((server.address() as AddressInfo).port);
      });
    });
  }

  #run(command: string, args: readonly string[]): void {
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"], cwd: this.#scratch.path });
    let log = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
    child.once("exit", (code) => {
      if (code !== 0 && code !== null) process.stderr.write(`${command} ended with ${code}: ${log}\n`);
    });
    this.#processes.push(child);
  }

  #write(name: string, text: string): string {
    return this.#scratch.file(name, text);
  }
}

/** Rules that wait for `FOR` at most until they fire; nothing else of them is changed. */
export function shortenRules(text: string): string {
  const file = parseYaml(text) as { groups: { rules: { for?: string }[] }[] };
  for (const rule of file.groups.flatMap((group) => group.rules)) if (rule.for !== undefined) rule.for = FOR;
  return stringify(file);
}

/** What the compose file turns on in its Prometheus. */
function featuresOfCompose(): string[] {
  const { services } = parseYaml(readFileSync(join(deploy, "../../docker-compose.yml"), "utf8"), { merge: true }) as {
    services: { prometheus: { command: string[] } };
  };
  return services.prometheus.command.filter((word) => word.startsWith("--enable-feature="));
}

function prometheusConfig(targets: readonly Target[], alertmanager: number): string {
  const config = parseYaml(readFileSync(join(deploy, "prometheus.yml"), "utf8")) as {
    alerting: object;
    rule_files: unknown;
  };
  return stringify({
    ...config,
    global: { scrape_interval: SCRAPE, scrape_timeout: SCRAPE, evaluation_interval: EVERY },
    alerting: { ...config.alerting, alertmanagers: [{ static_configs: [{ targets: [`127.0.0.1:${alertmanager}`] }] }] },
    scrape_configs: [
      {
        job_name: "headroom",
        static_configs: targets.map(({ url, labels = {} }) => ({ targets: [new URL(url).host], labels })),
      },
    ],
  });
}

function alertmanagerConfig(webhook: number): string {
  const config = parseYaml(readFileSync(join(deploy, "alertmanager.yml"), "utf8")) as {
    route: { routes: object[] };
    receivers: object[];
  };
  const soon = { group_wait: "0s", group_interval: EVERY };
  return stringify({
    ...config,
    route: { ...config.route, ...soon, routes: config.route.routes.map((route) => ({ ...route, ...soon })) },
    receivers: [
      { name: "webhook", webhook_configs: [{ url: `http://127.0.0.1:${webhook}/alerts`, send_resolved: true }] },
    ],
  });
}

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => {
        resolve(port);
      });
    });
  });
}
