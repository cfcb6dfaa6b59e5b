/** Every dashboard, by the name of its file in `deploy/grafana/dashboards`. */
import { flows } from "./flows.ts";
import { inference } from "./inference.ts";
import { nodes } from "./nodes.ts";
import { overview } from "./overview.ts";
import { buildDashboard, type Page } from "./page.ts";
import { redis } from "./redis.ts";
import { runs } from "./runs.ts";

const pages: Readonly<Record<string, Page>> = { overview, runs, nodes, inference, redis, flows };

/** The text of each file. */
export function dashboardFiles(): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(pages).map(([name, page]) => [`${name}.json`, `${JSON.stringify(buildDashboard(page), null, 2)}\n`]),
  );
}
