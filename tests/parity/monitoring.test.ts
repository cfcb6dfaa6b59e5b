/** What the Prometheus operator reads is made of the files that everybody else reads. To renew it: `npx vitest run --project parity -u`. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { dashboardMaps, prometheusRule } from "../../scripts/deploy/monitoring.ts";

const component = join(import.meta.dirname, "../../deploy/k8s/components/monitoring");

describe("deploy/k8s/components/monitoring", () => {
  test("rules.yaml has the groups of deploy/prometheus/rules", async () => {
    await expect(prometheusRule()).toMatchFileSnapshot(join(component, "rules.yaml"));
  });

  test("dashboards.yaml has the dashboards of deploy/grafana/dashboards", async () => {
    await expect(dashboardMaps()).toMatchFileSnapshot(join(component, "dashboards.yaml"));
  });
});
