/** The board's JSON: what its pages show, for programs. */
import type { Request, Response } from "express";
import { NotFoundError } from "../../contract/errors.ts";
import { isTerminal } from "../../contract/outcomes.ts";
import { nextPath, nextRun, parseFileListQuery, parseRunListQuery } from "../../platform/http/run-queries.ts";
import type { Route } from "../../platform/http/route-table.ts";
import { isAlive } from "../../platform/worker-heartbeats.ts";
import type { Store } from "../../store/store.ts";
import type { RunReader } from "../run-reader.ts";

export interface ApiDeps {
  readonly reader: RunReader;
  readonly store: Store;
}

const API = "/api";

/** Every route below `/api` with the permission that it asks for. */
export function apiRoutes(deps: ApiDeps): Route[] {
  const get = (path: string, read: (req: Request) => Promise<unknown>): Route => ({
    method: "get",
    path: `${API}${path}`,
    permission: "view",
    handler: async (req, res) => {
      answer(res, await read(req));
    },
  });
  const { reader, store } = deps;
  return [
    get("/runs", async (req) => {
      const query = parseRunListQuery(req);
      const runs = await reader.list(query);
      return { runs, next: nextRun(runs, query.limit) };
    }),
    get("/runs/:id", (req) => reader.status(paramOf(req, "id"))),
    get("/runs/:id/failures", async (req) => {
      const run = await reader.record(paramOf(req, "id"));
      const { failures } = await reader.figures(run);
      return { failures, isFinal: isTerminal(run.state) };
    }),
    get("/runs/:id/files", async (req) => {
      const query = parseFileListQuery(req);
      const run = await reader.record(paramOf(req, "id"));
      const files = await store.files.page(run.id, run.epoch, query);
      const paths = files.map((file) => file.path);
      return { files, next: nextPath(paths, query.limit) };
    }),
    get("/workers", async () => {
      const workers = await reader.workers();
      return { workers: workers.map((worker) => ({ ...worker, isAlive: isAlive(worker, reader.nowMs()) })) };
    }),
    get("/explain/:id", (req) => reader.explain(paramOf(req, "id"))),
  ];
}

/** A part of a path that the route names. @throws {NotFoundError} when it is not there */
export function paramOf(req: Request, name: string): string {
  const value = req.params[name];
  if (typeof value === "string") return value;
  throw new NotFoundError("route", req.path);
}

function answer(res: Response, body: unknown): void {
  res.set("Cache-Control", "no-store").json(body);
}
