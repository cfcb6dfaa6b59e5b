import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { parseConfig } from "../../../../src/contract/config-faults.ts";
import { InvalidInputError } from "../../../../src/contract/errors.ts";
import { GiB, MiB } from "../../../../src/contract/resources.ts";
import { systemClock } from "../../../../src/platform/clock.ts";
import { loadConfig } from "../../../../src/platform/config-file.ts";
import { CapacitySensor, createProbes } from "../../../../src/worker/governor/capacity.ts";
import { Governor } from "../../../../src/worker/governor/governor.ts";
import type { ReserveQuestion } from "../../../../src/worker/governor/governor-port.ts";
import { loadPlugins, type PluginEntries } from "../../../../src/worker/governor/plugins.ts";
import { GpuProbe } from "../../../../src/worker/governor/probes/gpu.ts";
import { systemRoots } from "../../../../src/worker/governor/probes/probe.ts";
import { ProcessTrees } from "../../../../src/worker/governor/probes/process-trees.ts";
import { FakeMachine } from "../../../support/fake-machine.ts";
import { quietLogger } from "../../../support/quiet-logger.ts";
import { Scratch } from "../../../support/scratch.ts";

const examples = join(import.meta.dirname, "../../../../examples/plugins");

function openScratch(): Scratch {
  const scratch = new Scratch();
  onTestFinished(() => {
    scratch[Symbol.dispose]();
  });
  return scratch;
}

async function faultsOf(entries: Partial<PluginEntries>): Promise<string[]> {
  const answer = await loadPlugins({ probes: [], rules: [], ...entries }).catch((error: unknown) => error);
  if (!(answer instanceof InvalidInputError)) throw new Error("expected faults");
  return answer.faults.map(({ where, expected, found }) => `${where}: expected ${expected}, found ${found}`);
}

/** A governor with these plugins, on a machine with room for everything. */
async function startGovernor(entries: Partial<PluginEntries>): Promise<{ governor: Governor; sensor: CapacitySensor }> {
  const plugins = await loadPlugins({ probes: [], rules: [], ...entries });
  const machine = new FakeMachine(["0::/app"]);
  machine.v2("app", { max: String(GiB) });
  const gpu = new GpuProbe({ driverFiles: [] });
  const sensor = new CapacitySensor(createProbes(machine.roots, { plugins: plugins.probes, gpu }));
  const governor = new Governor(
    {
      ...{ clock: systemClock, logger: quietLogger, sensor, pluginRules: plugins.rules },
      processes: new ProcessTrees(systemRoots),
      metrics: { decided: () => undefined, stepped: () => undefined },
      act: () => undefined,
    },
    { labels: [], maxProcesses: 10 },
  );
  await governor.start();
  onTestFinished(async () => {
    await governor.stop();
    machine[Symbol.dispose]();
  });
  return { governor, sensor };
}

const ask = (queue: string): ReserveQuestion => ({
  ...{ queue, labels: [] },
  need: { memoryBytes: MiB, cpuCores: 0.1, processes: 1 },
});

describe("loading", () => {
  test("tells every plugin that cannot be used, each with its place", async () => {
    const scratch = openScratch();
    const broken = scratch.file("broken.mjs", "export const probe = {");
    const other = scratch.file("other.mjs", "export const rule = {};");
    const bad = scratch.file(
      "bad.mjs",
      `export const probe = { create: () => ({ name: "Bad Name", read: () => ({}) }) };`,
    );
    const number = join(examples, "number-in-a-file.mjs");
    const faults = await faultsOf({
      probes: [
        { module: join(scratch.path, "none.mjs"), settings: {} },
        { module: broken, settings: {} },
        { module: other, settings: {} },
        { module: bad, settings: {} },
        { module: number, settings: { name: "fan", file: "relative" } },
        { module: number, settings: { name: "fan", file: "/a" } },
        { module: number, settings: { name: "fan", file: "/b" } },
      ],
      rules: [{ module: "no-such-package-of-rules", settings: {} }],
    });
    expect(faults).toHaveLength(7);
    expect(faults[0]).toMatch(
      /^governor\.probes\[0\]\.module: expected a module that can be loaded, found .*none\.mjs/,
    );
    expect(faults[1]).toMatch(/^governor\.probes\[1\]\.module: expected a module that can be loaded/);
    expect(faults[2]).toMatch(/^governor\.probes\[2\]\.module: expected a module that exports a probe/);
    expect(faults[3]).toMatch(/^governor\.probes\[3\]\.module: expected a plugin whose name is .*, found "Bad Name"/);
    expect(faults[4]).toMatch(/^governor\.probes\[4\]\.settings: expected the absolute path of a file/);
    expect(faults[5]).toMatch(/^governor\.probes\[6\]\.module: expected a plugin with a name of its own/);
    expect(faults[6]).toMatch(/^governor\.rules\[0\]\.module: .*no-such-package-of-rules/);
  });

  test("settings are checked by a schema of the plugin, fault by fault", async () => {
    const scratch = openScratch();
    const settings = z.strictObject({ limit: z.number().max(9), name: z.string() });
    const key = "headroom-test-schema";
    (globalThis as Record<string, unknown>)[key] = settings;
    const module = scratch.file(
      "schema.mjs",
      `export const rule = { settings: globalThis["${key}"], create: ({ name }) => ({ name, decide: () => undefined }) };`,
    );
    expect(await faultsOf({ rules: [{ module, settings: { limit: 12 } }] })).toEqual([
      expect.stringMatching(/^governor\.rules\[0\]\.settings\.limit: expected .*9, found 12/),
      expect.stringMatching(/^governor\.rules\[0\]\.settings\.name: expected .*, found nothing/),
    ]);
    const { rules } = await loadPlugins({ probes: [], rules: [{ module, settings: { limit: 1, name: "fine" } }] });
    expect(rules).toHaveLength(1);
  });

  test("the configuration names modules; a path is one of its own folder", () => {
    const scratch = openScratch();
    const text = `governor:\n  max_temperature: 85\n  probes:\n    - module: ./a.mjs\n      settings: { file: /x }\n    - module: pkg\n`;
    const file = scratch.file("deep/headroom.yaml", text);
    const { governor } = loadConfig({ file, env: {}, cwd: scratch.path });
    expect(governor.probes).toEqual([
      { module: join(scratch.path, "deep/a.mjs"), settings: { file: "/x" } },
      { module: "pkg", settings: {} },
    ]);
    const wrong = parseConfig({ governor: { rules: [{ modul: "x" }], max_temperature: 900 } });
    expect(wrong.kind === "faulty" && wrong.faults.map(({ where }) => where)).toEqual(
      expect.arrayContaining(["governor.max_temperature", "governor.rules[0].module", "governor.rules[0].modul"]),
    );
  });
});

describe("the examples", () => {
  test("a collector reads a number from a file, and a rule gives out as many licences", async () => {
    const scratch = openScratch();
    const file = scratch.file("free", "2\n");
    const { governor, sensor } = await startGovernor({
      probes: [
        { module: join(examples, "number-in-a-file.mjs"), settings: { name: "licences", file, figure: "free" } },
      ],
      rules: [
        {
          module: join(examples, "licence-tokens.mjs"),
          settings: { profile: "solver", collector: "licences", figure: "free" },
        },
      ],
    });
    await expect
      .poll(
        () => {
          governor.check(ask("exec.other@0"));
          return sensor.latest?.machine.plugins["licences"];
        },
        { timeout: 5_000 },
      )
      .toEqual({ free: 2 });
    // The rule may have been asked before there was a figure; it is asked by its own jobs alone.
    const tickets = [governor.tryReserve(ask("exec.solver@0")), governor.tryReserve(ask("exec.solver@0"))];
    expect(tickets.map(({ kind }) => kind)).toEqual(["admit", "admit"]);
    expect(governor.tryReserve(ask("exec.solver@0"))).toMatchObject({
      code: "RULE_LICENCE_TOKENS",
      message: "all 2 licences of solver are taken",
    });
    expect(governor.check(ask("exec.other@0")).kind).toBe("admit");
    expect(governor.snapshot().waiting).toMatchObject([{ queue: "exec.solver@0", code: "RULE_LICENCE_TOKENS" }]);
    const [first] = tickets;
    if (first?.kind === "admit") first.release();
    expect(governor.check(ask("exec.solver@0")).kind).toBe("admit");
  });
});

describe("plugins that break", () => {
  const plugin = (scratch: Scratch, name: string, body: string) => scratch.file(`${name}.mjs`, body);

  test("a collector that throws, hangs, loops or tells nonsense is degraded and nobody else is", async () => {
    const scratch = openScratch();
    const collector = (name: string, read: string) =>
      plugin(
        scratch,
        name,
        `export const probe = { create: () => ({ name: "${name}", limitMs: 200, read: ${read} }) };`,
      );
    const { governor, sensor } = await startGovernor({
      probes: [
        { module: collector("throws", `() => { throw new Error("no such meter") }`), settings: {} },
        { module: collector("hangs", `() => new Promise(() => {})`), settings: {} },
        { module: collector("loops", `() => { for (;;); }`), settings: {} },
        { module: collector("nonsense", `() => ({ value: NaN })`), settings: {} },
        { module: collector("fine", `async () => ({ value: 7 })`), settings: {} },
      ],
    });
    const reasons = () =>
      Object.fromEntries(sensor.statuses().flatMap(({ name, reason }) => (reason ? [[name, reason]] : [])));
    await expect
      .poll(
        async () => {
          governor.check(ask("exec.any@0"));
          await turn();
          return Object.keys(reasons())
            .filter((name) => name.startsWith("plugin"))
            .toSorted();
        },
        { timeout: 10_000 },
      )
      .toEqual(["plugin hangs", "plugin loops", "plugin nonsense", "plugin throws"]);
    expect(reasons()["plugin throws"]).toBe("no such meter");
    expect(reasons()["plugin loops"]).toMatch(/within 100 ms/);
    expect(reasons()["plugin nonsense"]).toMatch(/expected a finite number as value, found NaN/);
    expect(sensor.latest?.machine.plugins).toEqual({ fine: { value: 7 } });
    expect(governor.check(ask("exec.any@0")).kind).toBe("admit");
  });

  test("a rule that throws, loops or answers nonsense lets pass or holds, as it says, and is told as degraded", async () => {
    const scratch = openScratch();
    const rule = (name: string, decide: string, whenBroken = "admit") =>
      plugin(
        scratch,
        name,
        `export const rule = { create: () => ({ name: "${name}", whenBroken: "${whenBroken}", decide: ${decide} }) };`,
      );
    const open = await startGovernor({
      rules: [
        { module: rule("throws", `() => { throw new Error("oh") }`), settings: {} },
        { module: rule("loops", `() => { for (;;); }`), settings: {} },
        { module: rule("nonsense", `() => 7`), settings: {} },
      ],
    });
    expect(open.governor.check(ask("exec.any@0")).kind).toBe("admit");
    const startedMs = performance.now();
    for (let at = 0; at < 100; at += 1) open.governor.check(ask("exec.any@0"));
    expect(performance.now() - startedMs).toBeLessThan(2_000);
    await expect
      .poll(
        () => {
          open.governor.check(ask("exec.any@0"));
          return open.governor
            .snapshot()
            .degraded.map(({ sensor }) => sensor)
            .toSorted();
        },
        { timeout: 5_000 },
      )
      .toEqual(["rule loops", "rule nonsense", "rule throws"]);
    const held = await startGovernor({
      rules: [{ module: rule("strict", `() => { throw new Error("oh") }`, "defer"), settings: {} }],
    });
    expect(held.governor.check(ask("exec.any@0"))).toMatchObject({
      code: "RULE_STRICT",
      message: "the rule strict is broken: oh",
    });
    const inside = { queue: "scan.control@10", labels: [], need: { memoryBytes: MiB, cpuCores: 0.05, processes: 0 } };
    expect(held.governor.check(inside).kind).toBe("admit");
  });
});
