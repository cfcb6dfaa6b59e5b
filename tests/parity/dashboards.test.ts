/** Dashboards are what their source makes, and Grafana and Prometheus take them. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments, stringify } from "yaml";
import { dashboardFiles } from "../../scripts/dashboards/all.ts";
import { metricTable } from "../../src/contract/metric-names.ts";
import { TRACE_LABEL } from "../../src/platform/metrics.ts";
import { expressionsOf, fillIn, parseDashboard } from "../support/dashboards.ts";
import { Scratch } from "../support/scratch.ts";

const deploy = join(import.meta.dirname, "../../deploy");
const folder = join(deploy, "grafana/dashboards");
const names = readdirSync(folder).toSorted();
const dashboards = names.map((name) => parseDashboard(readFileSync(join(folder, name), "utf8")));

/** Data sources as they are provisioned. */
interface DataSources {
  readonly datasources: readonly {
    readonly uid: string;
    readonly type: string;
    readonly jsonData?: { readonly exemplarTraceIdDestinations?: readonly { name: string; datasourceUid: string }[] };
  }[];
}

describe("dashboards", () => {
  test("are what their source makes; npm run dashboards writes them anew", () => {
    const made = dashboardFiles();
    expect(names).toEqual([...made.keys()].toSorted());
    for (const name of names) expect(readFileSync(join(folder, name), "utf8"), name).toBe(made.get(name));
  });

  test("keep their uids, which links and bookmarks are made of", () => {
    expect(dashboards.map(({ uid }) => uid)).toEqual([
      "headroom-flows",
      "headroom-inference",
      "headroom-nodes",
      "headroom-overview",
      "headroom-redis",
      "headroom-runs",
    ]);
  });

  test("let the reader choose the data source, the cluster and its processes", () => {
    for (const { templating } of dashboards) {
      expect(templating.list.map(({ name, type }) => `${type} ${name}`)).toEqual([
        "datasource datasource",
        "query namespace",
        "query instance",
      ]);
    }
  });

  test("have a unit, a source and a legend on every panel, ids of their own, and no panel over another", () => {
    for (const { title, panels } of dashboards) {
      const ids = panels.map(({ id }) => id);
      expect(new Set(ids).size, title).toBe(ids.length);
      const taken = new Set<string>();
      for (const panel of panels) {
        const where = `${title}: ${panel.title}`;
        for (let x = panel.gridPos.x; x < panel.gridPos.x + panel.gridPos.w; x += 1) {
          for (let y = panel.gridPos.y; y < panel.gridPos.y + panel.gridPos.h; y += 1) {
            expect(taken.has(`${x} ${y}`), where).toBe(false);
            expect(x, where).toBeLessThan(24);
            taken.add(`${x} ${y}`);
          }
        }
        if (panel.type === "row") continue;
        expect(panel.fieldConfig?.defaults.unit, where).toMatch(/./);
        expect(panel.datasource, where).toEqual({ type: "prometheus", uid: "${datasource}" });
        expect(panel.targets?.length, where).toBeGreaterThan(0);
        for (const { legendFormat } of panel.targets ?? []) expect(legendFormat, where).toMatch(/./);
      }
      const titles = panels.map((panel) => panel.title);
      expect(new Set(titles).size, title).toBe(titles.length);
    }
  });

  test("show the traces of samples on every panel of a histogram over time, and lead from there to the trace", () => {
    const buckets = (expr: string) => /\w+_bucket(?=\{)/.exec(expr)?.[0] ?? [];
    const panelsOverTime = dashboards.flatMap(({ panels }) => panels.filter(({ type }) => type === "timeseries"));
    expect(panelsOverTime.flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => buckets(expr)))).not.toEqual([]);
    for (const { title, targets = [] } of panelsOverTime) {
      const shown = targets.flatMap(({ expr, exemplar }) => (exemplar ? buckets(expr) : []));
      expect(shown, title).toEqual([...new Set(targets.flatMap(({ expr }) => buckets(expr)))]);
    }
    const { datasources } = parse(
      readFileSync(join(deploy, "grafana/provisioning/datasources/headroom.yml"), "utf8"),
    ) as DataSources;
    const links = datasources.flatMap(({ jsonData }) => jsonData?.exemplarTraceIdDestinations ?? []);
    expect(links).toEqual([
      { name: TRACE_LABEL, datasourceUid: datasources.find(({ type }) => type === "jaeger")?.uid },
    ]);
    // On Kubernetes the same source, under the same name.
    const [map] = parseAllDocuments(readFileSync(join(deploy, "k8s/components/traces/data-source.yaml"), "utf8"));
    const { data } = map?.toJS() as { data: Readonly<Record<string, string>> };
    const there = parse(Object.values(data).join()) as DataSources;
    expect(there.datasources.map(({ uid }) => uid)).toEqual([links[0]?.datasourceUid]);
  });

  test("ask Prometheus what it understands, of metrics that there are", () => {
    const expressions = dashboards.flatMap(expressionsOf);
    expect(expressions.length).toBeGreaterThan(80);
    const rules = expressions.map((expr, at) => ({ record: `panel:${at}`, expr: fillIn(expr) }));
    using scratch = new Scratch();
    const file = scratch.file("panels.yml", stringify({ groups: [{ name: "panels", rules }] }));
    expect(execFileSync("promtool", ["check", "rules", file], { encoding: "utf8" })).toContain("SUCCESS");
    const recorded = readFileSync(join(deploy, "prometheus/rules/recording.rules.yml"), "utf8");
    for (const expr of expressions) {
      for (const [name] of expr.matchAll(/\bheadroom[a-z_]*[_:][\w:]+/g)) {
        const plain = name.replace(/_(bucket|sum|count)$/, "");
        const isKnown = name in metricTable || plain in metricTable || recorded.includes(`record: ${name}\n`);
        expect(isKnown, `${name} in ${expr}`).toBe(true);
      }
    }
  });
});
