/** The board's pages and what they need. */
import type { Request, Response } from "express";
import { NotFoundError } from "../../contract/errors.ts";
import { isTerminal } from "../../contract/outcomes.ts";
import { pathFromPrintable } from "../../contract/path-bytes.ts";
import { nextPath, nextRun, parseFileListQuery, parseRunListQuery } from "../../platform/http/run-queries.ts";
import type { Route } from "../../platform/http/route-table.ts";
import type { Store } from "../../store/store.ts";
import { paramOf } from "../api/routes.ts";
import type { FlowReader } from "../flow-reader.ts";
import type { RunReader } from "../run-reader.ts";
import { fileContent, fileTitle } from "./file-page.ts";
import { filesContent } from "./files-page.ts";
import { icon, layout, type PageParts } from "./layout.ts";
import { liveScript } from "./live-script.ts";
import { runContent, runTitle } from "./run-page.ts";
import { runsContent } from "./runs-page.ts";
import { styleSheet } from "./style.ts";
import { workersContent } from "./workers-page.ts";

export interface PageDeps {
  readonly reader: RunReader;
  readonly flows: FlowReader;
  readonly store: Store;
  /** Whether people sign in here, and so can sign out. */
  readonly hasLogin: boolean;
}

const MAX_ATTEMPTS_SHOWN = 50;

/** Every page with the permission that it asks for. */
export function pageRoutes(deps: PageDeps): Route[] {
  const page = (path: string, read: (req: Request) => Promise<PageParts>): Route => ({
    method: "get",
    path,
    permission: "view",
    handler: async (req, res) => {
      sendPage(res, layout({ ...(await read(req)), isSignedIn: deps.hasLogin }));
    },
  });
  return [
    page("/", (req) => runsPage(deps, req)),
    page("/runs/:id", (req) => runPage(deps, req)),
    page("/runs/:id/files", (req) => filesPage(deps, req)),
    page("/runs/:id/files/*path", (req) => filePage(deps, req)),
    page("/workers", () => workersPage(deps)),
  ];
}

/** The style, the script and the sign: the same for everybody, the login included. */
export function assetRoutes(): Route[] {
  const asset = (path: string, type: string, text: string): Route => ({
    method: "get",
    path: `/assets/${path}`,
    permission: "open",
    handler: (_req, res) => {
      res.set("Cache-Control", "public, max-age=300").type(type).send(text);
    },
  });
  return [
    asset("board.css", "text/css", styleSheet),
    asset("live.js", "text/javascript", liveScript),
    asset("icon.svg", "image/svg+xml", icon),
  ];
}

export function sendPage(res: Response, text: string, status = 200): void {
  res.status(status).set("Cache-Control", "no-store").type("html").send(text);
}

async function runsPage({ reader }: PageDeps, req: Request): Promise<PageParts> {
  const query = parseRunListQuery(req);
  const runs = await reader.list(query);
  const isFirstPage = query.before === undefined;
  const view = { runs, state: query.states?.[0], isFirstPage, next: nextRun(runs, query.limit) };
  const isLive = isFirstPage && runs.some((run) => !isTerminal(run.state));
  return { title: "Runs", section: "runs", content: runsContent(view), isLive };
}

async function runPage({ reader, flows }: PageDeps, req: Request): Promise<PageParts> {
  const run = await reader.status(paramOf(req, "id"));
  const [figures, explanation] = await Promise.all([reader.figures(run), reader.explain(run.id)]);
  const flow = run.spec.executor === "flow" ? { flow: await flows.load(run) } : {};
  const content = runContent({ run, figures, explanation, nowMs: reader.nowMs(), ...flow });
  return { title: runTitle(run), section: "runs", content, isLive: !isTerminal(run.state) };
}

async function filesPage({ reader, store }: PageDeps, req: Request): Promise<PageParts> {
  const query = parseFileListQuery(req);
  const run = await reader.record(paramOf(req, "id"));
  const files = await store.files.page(run.id, run.epoch, query);
  const content = filesContent({
    run,
    files,
    outcome: query.outcome,
    search: query.search,
    isFirstPage: query.afterPath === undefined,
    next: nextPath(
      files.map((file) => file.path),
      query.limit,
    ),
  });
  return { title: `Files of ${run.id}`, section: "runs", content };
}

async function filePage({ reader, store }: PageDeps, req: Request): Promise<PageParts> {
  const parts: unknown = req.params["path"];
  const shown = Array.isArray(parts) ? parts.join("/") : "";
  const path = pathFromPrintable(shown);
  const run = await reader.record(paramOf(req, "id"));
  const [[file], attempts] = await Promise.all([
    store.files.get(run.id, [path]),
    store.files.attempts(run.id, { path, limit: MAX_ATTEMPTS_SHOWN }),
  ]);
  if (file === undefined) throw new NotFoundError("file", shown);
  return { title: fileTitle(file), section: "runs", content: fileContent({ run, file, attempts }) };
}

async function workersPage({ reader }: PageDeps): Promise<PageParts> {
  const content = workersContent(await reader.workers(), reader.nowMs());
  return { title: "Workers", section: "workers", content, isLive: true };
}
