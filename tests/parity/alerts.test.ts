/** Rules, their tests and their runbooks agree with each other and with the table of metrics. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { metricTable } from "../../src/contract/metric-names.ts";

const folder = join(import.meta.dirname, "../../deploy/prometheus");
const rulesFolder = join(folder, "rules");
const files = readdirSync(rulesFolder).toSorted();
const ruleFiles = files.filter((name) => name.endsWith(".rules.yml"));
const testFiles = files.filter((name) => name.endsWith(".test.yml"));

const rule = z.strictObject({
  alert: z.string().optional(),
  record: z.string().optional(),
  expr: z.string(),
  for: z.string().optional(),
  labels: z.strictObject({ severity: z.enum(["critical", "warning"]) }).optional(),
  annotations: z.strictObject({ summary: z.string(), description: z.string(), runbook_url: z.string() }).optional(),
});
const ruleFile = z.object({ groups: z.array(z.object({ name: z.string(), rules: z.array(rule) })) });
const ruleTest = z.object({
  tests: z.array(
    z.object({
      promql_expr_test: z.array(z.object({ expr: z.string(), exp_samples: z.array(z.object({ value: z.number() })) })),
    }),
  ),
});

const readYaml = <T>(path: string, schema: z.ZodType<T>): T => schema.parse(parseYaml(readFileSync(path, "utf8")));
const rules = ruleFiles.flatMap((name) =>
  readYaml(join(rulesFolder, name), ruleFile).groups.flatMap((group) => group.rules),
);
const alerts = rules.filter(({ alert }) => alert !== undefined);
const checks = testFiles.flatMap((name) =>
  readYaml(join(rulesFolder, name), ruleTest).tests.flatMap((one) => one.promql_expr_test),
);

/** What an alert may send people to. */
const runbooks = [
  "redis-out-of-memory",
  "redis-down",
  "redis-disk",
  "redis-failover",
  "store-down",
  "store-full",
  "restore",
  "stuck-queue",
  "poison-file",
  "mass-retry",
  "drain-a-node",
  "roll-back",
  "key-rotation",
  "disk-full",
  "gpu-lost",
  "clock-skew",
  "governor-refusing",
  "worker-silent",
  "audit-log",
];

const run = (command: string, args: readonly string[], cwd = folder): string =>
  execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

describe("rules", () => {
  test("are taken by Prometheus, and so are its configuration and that of Alertmanager", () => {
    expect(run("promtool", ["check", "rules", ...ruleFiles], rulesFolder)).not.toContain("FAILED");
    expect(run("promtool", ["check", "config", "prometheus.yml"])).toContain(`${ruleFiles.length} rule files found`);
    expect(run("amtool", ["check-config", "alertmanager.yml"])).toContain("SUCCESS");
  });

  test("pass their own tests", { timeout: 60_000 }, () => {
    expect(run("promtool", ["test", "rules", ...testFiles], rulesFolder)).not.toContain("FAILED");
  });

  test("each of them that alerts has a test in which it fires and one in which it does not", () => {
    for (const { alert = "" } of alerts) {
      const own = checks.filter(({ expr }) => expr === `ALERTS{alertname="${alert}",alertstate="firing"}`);
      const counts = own.map(({ exp_samples }) => exp_samples.length);
      expect(Math.max(...counts), `${alert} fires`).toBeGreaterThan(0);
      expect(Math.min(...counts), `${alert} does not fire`).toBe(0);
    }
    expect(alerts.length).toBeGreaterThan(30);
  });

  test("say how urgent they are, what is the matter and what to do", () => {
    for (const { alert = "", labels, annotations } of alerts) {
      expect(labels?.severity, alert).toBeDefined();
      expect(annotations?.summary, alert).toMatch(/[^.]$/);
      expect(annotations?.description, alert).toMatch(/\.$/);
      const [, name = ""] =
        /^\{\{ \$externalLabels\.docs_of_headroom \}\}\/docs\/runbooks\/([a-z-]+)\.md$/.exec(
          annotations?.runbook_url ?? "",
        ) ?? [];
      expect(runbooks, alert).toContain(name);
    }
    const names = alerts.map(({ alert }) => alert);
    expect(new Set(names).size).toBe(names.length);
  });

  test("lead to pages that name them at their head, and no others", () => {
    const leading = (name: string) =>
      alerts.filter(({ annotations }) => annotations?.runbook_url.endsWith(`/runbooks/${name}.md`));
    for (const name of runbooks) {
      const [head = ""] = readFileSync(join(folder, `../../docs/runbooks/${name}.md`), "utf8").split("\n## ");
      const [told = ""] = /^For `Headroom[^]*?\n\n/m.exec(head) ?? [];
      const named = [...told.matchAll(/`(Headroom\w+)`/g)].map((match) => match[1]);
      expect(named.toSorted(), name).toEqual(
        leading(name)
          .map(({ alert }) => alert)
          .toSorted(),
      );
    }
  });

  test("know no metric that the code does not", () => {
    const recorded = new Set(rules.map(({ record }) => record));
    for (const { expr } of rules) {
      for (const [name] of expr.matchAll(/\bheadroom[a-z_:][\w:]*/g)) {
        const isKnown = recorded.has(name) || name in metricTable;
        expect(isKnown, `${name} in ${expr}`).toBe(true);
      }
    }
  });

  test("have their pages where no other place is named", () => {
    for (const name of ["governor-refusing", "worker-silent", "audit-log"]) {
      const path = join(folder, `../../docs/runbooks/${name}.md`);
      expect(existsSync(path), path).toBe(true);
      const titles = [...readFileSync(path, "utf8").matchAll(/^## (.+)$/gm)].map((match) => match[1]);
      expect(titles).toEqual(["Detect", "Act", "Verify"]);
    }
  });
});
