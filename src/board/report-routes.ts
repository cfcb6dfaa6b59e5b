/** `/runs/:id/report.md` and `/runs/:id/report.json`: the report of an ended run, to be kept as a file. */
import type { Request } from "express";
import { NotFoundError } from "../contract/errors.ts";
import type { RunReport } from "../contract/run-record.ts";
import type { Route } from "../platform/http/route-table.ts";
import { paramOf } from "./api/routes.ts";
import type { RunReader } from "./run-reader.ts";

export interface ReportRouteDeps {
  readonly reader: RunReader;
  readonly reportMarkdown: (report: RunReport) => string;
}

export function reportRoutes({ reader, reportMarkdown }: ReportRouteDeps): Route[] {
  const file = (kind: "md" | "json", type: string, textOf: (report: RunReport) => string): Route => ({
    method: "get",
    path: `/runs/:id/report.${kind}`,
    permission: "view",
    handler: async (req, res) => {
      const report = await loadReport(reader, req);
      res.set("Cache-Control", "no-store").attachment(`${report.id}.${kind}`).type(type).send(textOf(report));
    },
  });
  return [
    file("md", "text/markdown; charset=utf-8", reportMarkdown),
    file("json", "application/json", (report) => `${JSON.stringify(report, null, 2)}\n`),
  ];
}

/** @throws {NotFoundError} when the run goes on, or has ended without a report */
async function loadReport(reader: RunReader, req: Request): Promise<RunReport> {
  const { id, epoch, report } = await reader.record(paramOf(req, "id"));
  if (report?.epoch !== epoch) throw new NotFoundError("report", id);
  return report;
}
