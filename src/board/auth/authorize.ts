/** Who may do what on the board: the one place that says yes or no. */
import type { Request, Response } from "express";
import { bearerOf, isSameSecret } from "../../platform/http/access.ts";
import { RequestError } from "../../platform/http/problem.ts";
import type { Authorize } from "../../platform/http/route-table.ts";
import type { Sessions } from "./sessions.ts";

export interface Login {
  readonly token: string;
  readonly sessions: Sessions;
}

/** Lets a session or the admin token through; without a login, whoever reaches the port. */
export function createAuthorize(login: Login | undefined): Authorize {
  return (permission) => async (req, res, next) => {
    if (permission === "open" || login === undefined) {
      next();
      return;
    }
    const bearer = bearerOf(req);
    const isKnown = bearer === undefined ? await login.sessions.isValid(req) : isSameSecret(bearer, login.token);
    if (isKnown) next();
    else refuse(req, res);
  };
}

/** A person who opened a page is led to the login; a program is told. */
function refuse(req: Request, res: Response): void {
  if (isPage(req)) {
    res.set("Cache-Control", "no-store").redirect(303, `/login?next=${encodeURIComponent(req.originalUrl)}`);
    return;
  }
  const headers = { "WWW-Authenticate": 'Bearer realm="headroom"' };
  throw new RequestError(401, "expected a session or a valid bearer token", { code: "ERR_UNAUTHORIZED", headers });
}

/** Whether a browser asks for a page, and not a script for its content. */
export function isPage(req: Request): boolean {
  const isProgram = req.originalUrl.startsWith("/api/") || req.originalUrl.startsWith("/queues/api/");
  return req.method === "GET" && !isProgram && req.accepts(["json", "html"]) === "html";
}
