/** The Prometheus operator's objects, made of the same files that a Prometheus and a Grafana without it read. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parse, stringify } from "yaml";

const deploy = join(import.meta.dirname, "../../deploy");
const GENERATED = "# Generated: change the files that it is made of, and run `npx vitest run --project parity -u`.\n";
/** What etcd takes in one object, with room for the rest of it. */
const MAX_CONFIG_MAP_BYTES = 900_000;

/** One PrometheusRule with the groups of all rule files. */
export function prometheusRule(): string {
  const folder = join(deploy, "prometheus/rules");
  const files = readdirSync(folder).filter((name) => name.endsWith(".rules.yml"));
  const groups = files.toSorted().flatMap((name) => {
    const { groups: ofFile } = parse(readFileSync(join(folder, name), "utf8")) as { groups: unknown[] };
    return ofFile;
  });
  return yamlOf([
    {
      apiVersion: "monitoring.coreos.com/v1",
      kind: "PrometheusRule",
      metadata: { name: "headroom" },
      spec: { groups },
    },
  ]);
}

/** A ConfigMap for each dashboard, with the label that Grafana's sidecar looks for. @throws when one is too large */
export function dashboardMaps(): string {
  const folder = join(deploy, "grafana/dashboards");
  const files = (existsSync(folder) ? readdirSync(folder) : []).filter((name) => name.endsWith(".json"));
  return yamlOf(
    files.toSorted().map((name) => {
      const text = readFileSync(join(folder, name), "utf8");
      if (Buffer.byteLength(text) > MAX_CONFIG_MAP_BYTES) {
        throw new Error(`expected ${name} to fit a config map, found ${Buffer.byteLength(text)} bytes`);
      }
      return {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: `headroom-dashboard-${basename(name, ".json")}`, labels: { grafana_dashboard: "1" } },
        data: { [name]: text },
      };
    }),
  );
}

function yamlOf(objects: readonly object[]): string {
  return GENERATED + objects.map((object) => stringify(object, { lineWidth: 0 })).join("---\n");
}
