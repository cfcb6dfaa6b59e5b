/** Dashboards as Grafana reads them, as far as tests look at them. */
import { z } from "zod";

const dashboard = z.object({
  uid: z.string(),
  title: z.string(),
  templating: z.object({ list: z.array(z.object({ name: z.string(), type: z.string() })) }),
  panels: z.array(
    z.object({
      id: z.number(),
      type: z.string(),
      title: z.string(),
      description: z.string().optional(),
      gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
      datasource: z.unknown().optional(),
      fieldConfig: z.object({ defaults: z.object({ unit: z.string().optional() }) }).optional(),
      targets: z
        .array(z.object({ expr: z.string(), legendFormat: z.string(), exemplar: z.boolean().default(false) }))
        .optional(),
    }),
  ),
});
export type TestedDashboard = z.output<typeof dashboard>;

export function parseDashboard(text: string): TestedDashboard {
  return dashboard.parse(JSON.parse(text));
}

/** Every expression of a dashboard. */
export function expressionsOf({ panels }: TestedDashboard): string[] {
  return panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
}

/** The expression as Grafana sends it when all is chosen. */
export function fillIn(expr: string): string {
  return expr.replaceAll("$__rate_interval", "1m").replaceAll("$namespace", ".*").replaceAll("$instance", ".*");
}
