/** The workflow of the public host keeps the rules that such files are judged by, and calls what is there. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { dashboardFiles } from "../../scripts/dashboards/all.ts";
import { createProgram } from "../../src/cli/main.ts";
import { metricTable } from "../../src/contract/metric-names.ts";
import { parseDockerfile } from "../support/dockerfile.ts";
import { quietIo } from "../support/quiet-io.ts";

const root = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");
const text = read(".github/workflows/ci.yml");

const step = z.strictObject({
  name: z.string().optional(),
  uses: z.string().optional(),
  run: z.string().optional(),
  with: z.record(z.string(), z.unknown()).optional(),
  env: z.record(z.string(), z.string()).optional(),
  if: z.string().optional(),
});
const workflow = z
  .strictObject({
    name: z.string(),
    on: z.record(z.string(), z.unknown()),
    permissions: z.record(z.string(), z.string()),
    concurrency: z.strictObject({ group: z.string(), "cancel-in-progress": z.boolean() }),
    jobs: z.record(
      z.string(),
      z.strictObject({
        if: z.literal("github.event_name == 'schedule'").optional(),
        "runs-on": z.string(),
        container: z.strictObject({ image: z.string(), options: z.string() }).optional(),
        "timeout-minutes": z.number(),
        strategy: z
          .strictObject({ "fail-fast": z.boolean(), matrix: z.record(z.string(), z.array(z.string())) })
          .optional(),
        steps: z.array(step),
      }),
    ),
  })
  .parse(parse(text));
const steps = Object.values(workflow.jobs).flatMap((job) => job.steps);
const commands = steps.map(({ run = "" }) => run).join("\n");

describe(".github/workflows/ci.yml", () => {
  test("pins each action by commit and says which version that is", () => {
    const uses = [...text.matchAll(/uses: (.*)$/gm)].map(([, what = ""]) => what);
    expect(uses.length).toBeGreaterThan(8);
    for (const what of uses) expect(what).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    // One version of each.
    expect(new Set(uses).size).toBe(new Set(uses.map((what) => what.split("@")[0])).size);
  });

  test("has a token that can read the repository and do nothing else, and leaves it in no checkout", () => {
    expect(workflow.permissions).toEqual({ contents: "read" });
    expect(text).not.toMatch(/pull_request_target|secrets\./);
    const checkouts = steps.filter(({ uses = "" }) => uses.startsWith("actions/checkout@"));
    expect(checkouts).toHaveLength(Object.keys(workflow.jobs).length);
    for (const { with: options } of checkouts) expect(options).toEqual({ "persist-credentials": false });
  });

  test("puts nothing that a stranger wrote into a command", () => {
    expect(commands.match(/\$\{\{(?!\s*matrix\.)[^}]*\}\}/g)).toBeNull();
  });

  test("runs on one version of a machine, and ends", () => {
    for (const job of Object.values(workflow.jobs)) {
      expect(job["runs-on"]).toMatch(/^ubuntu-\d\d\.\d\d$/);
      expect(job["timeout-minutes"]).toBeLessThanOrEqual(90);
    }
  });

  test("runs tests on Debian, which their packages are of, in the image that ours are built on", () => {
    const [, image] = /^ARG NODE_IMAGE=(.+)$/m.exec(read("Dockerfile")) ?? [];
    expect(image).toMatch(/-trixie-slim@sha256:/);
    const testing = Object.values(workflow.jobs).filter((job) =>
      job.steps.some(({ run = "" }) => /\b(npm (run )?test|vitest)\b/.test(run)),
    );
    expect(testing).toHaveLength(3);
    for (const { container, steps: own } of testing) {
      expect(container).toEqual({ image, options: "--privileged --init" });
      const runs = own.map(({ run = "" }) => run);
      expect(runs.findIndex((run) => run.startsWith("scripts/test-needs.sh"))).toBeGreaterThan(-1);
      // Root has no sudo there, and needs none.
      expect(runs.filter((run) => run.includes("sudo"))).toEqual([]);
    }
    expect(read("scripts/pin-images.sh")).toContain(" .github/workflows/ci.yml ");
    expect(read("scripts/test.sh")).toContain("if ! scripts/test-needs.sh;");
  });

  test("runs the integration suite on every other Redis that the tests know", () => {
    const names = [...read("tests/support/matrix.ts").matchAll(/^ {4}case "(\w+)":/gm)].map(([, name]) => name);
    expect(names.length).toBeGreaterThan(3);
    expect(workflow.jobs["redis"]?.strategy?.matrix).toEqual({ server: names });
  });

  test("tests every version of Node that is promised, on Redis and on Valkey", () => {
    expect(workflow.jobs["test"]?.strategy?.matrix).toEqual({
      node: ["20", "22", "24"],
      server: ["redis-server", "valkey-server"],
    });
    const { engines } = JSON.parse(read("package.json")) as { engines: { node: string } };
    expect(engines.node).toBe(">=20.19.0");
  });

  test("runs the bars at their full size each night, by names that the tests know", () => {
    const { nightly } = workflow.jobs;
    const names = nightly?.strategy?.matrix["test"] ?? [];
    expect(names.length).toBeGreaterThan(3);
    const paths = names.map((name) => `tests/e2e/${name}.test.ts`);
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
    const set = Object.assign({}, ...(nightly?.steps ?? []).map(({ env }) => env)) as Record<string, string>;
    const full = { HEADROOM_FAULT_ROUNDS: "5", HEADROOM_FAULT_SECONDS: "60", LONGMS: "900000", DRAINS: "100" };
    expect(set).toEqual(full);
    const readers = [read("tests/support/redis-load.ts"), ...paths.map(read)].join("\n");
    for (const name of Object.keys(set)) expect(readers).toContain(`process.env["${name}"]`);
  });

  test("calls scripts, targets and overlays that are there", () => {
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    const npm = [...commands.matchAll(/npm run ([\w:-]+)/g)].map(([, name = ""]) => name);
    expect(npm.filter((name) => !(name in scripts))).toEqual([]);
    const files = [...commands.matchAll(/(?:^|[\s"])((?:scripts|deploy)\/[\w./-]+)(?=[\s"]|$)/gm)].map(
      ([, path = ""]) => path,
    );
    expect(files.length).toBeGreaterThan(3);
    expect(files.filter((path) => !existsSync(join(root, path)))).toEqual([]);
    const overlays = [...commands.matchAll(/for overlay in ([\w ]+);/g)].flatMap(([, names = ""]) => names.split(" "));
    expect(overlays.filter((name) => !existsSync(join(root, "deploy/k8s/overlays", name)))).toEqual([]);
    const targets = /for target in ([\w -]+);/.exec(commands)?.[1]?.split(" ") ?? [];
    expect(targets.length).toBe(3);
    const stages = parseDockerfile(read("Dockerfile")).map(({ name }) => name);
    expect(targets.filter((target) => !stages.includes(target))).toEqual([]);
    // Each is started too; "cpu" by the programs that it brings along for backups.
    const started = new Set(
      [...commands.matchAll(/docker run "\$\{flags.*? headroom:([\w-]+)/g)].map(([, name]) => name),
    );
    expect([...started].toSorted()).toEqual(targets.toSorted());
  });

  test("looks in the cluster for what is there: commands, alerts, metrics, dashboards, objects", async () => {
    const smoke = read("deploy/k8s/smoke.sh");
    const monitoring = ["rules", "dashboards"]
      .map((name) => read(`deploy/k8s/components/monitoring/${name}.yaml`))
      .join("\n");
    const alerts = [...smoke.matchAll(/\bHeadroom[A-Z]\w+/g)].map(([name]) => name);
    expect(alerts.filter((name) => !monitoring.includes(`alert: ${name}\n`))).toEqual([]);
    const metrics = [...smoke.matchAll(/\bheadroom_\w+/g)].map(([name]) => name.replace(/_bucket$/, ""));
    expect(metrics.length).toBeGreaterThan(1);
    expect(metrics.filter((name) => !(name in metricTable))).toEqual([]);
    const pages = /for name in ([\w ]+); do\n.*dashboard/.exec(smoke)?.[1]?.split(" ") ?? [];
    expect(pages.toSorted()).toEqual([...dashboardFiles().keys()].map((file) => file.replace(".json", "")).toSorted());
    const program = await createProgram({ io: quietIo(root), childCommand: undefined, exitCode: 0 });
    const typed = [...smoke.matchAll(/\bheadroom (run|infer|status|export|explain|limits)\b/g)].map(
      ([, name = ""]) => name,
    );
    expect(new Set(typed).size).toBe(6);
    const known = program.commands.map((command) => command.name());
    expect(typed.filter((name) => !known.includes(name))).toEqual([]);
  });

  test("installs kube-prometheus-stack as the page on Kubernetes says", () => {
    const told = [...read("docs/deploy-kubernetes.md").matchAll(/--set '?((?:prometheus|grafana)\.[^\s']+)/g)];
    const set = [...commands.matchAll(/--set '?((?:prometheus|grafana)\.[^\s']+)/g)];
    const sorted = (found: readonly RegExpExecArray[]) => found.map(([, option]) => option).toSorted();
    expect(sorted(told).length).toBeGreaterThan(4);
    expect(sorted(set)).toEqual(sorted(told));
  });

  test("scripts can be run", () => {
    for (const name of ["pin-images", "test-needs"]) {
      expect(statSync(join(root, `scripts/${name}.sh`)).mode & 0o111, name).not.toBe(0);
    }
  });
});
