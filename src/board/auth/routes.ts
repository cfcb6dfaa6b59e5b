/** Signing in and out. */
import express, { type Request, type Response } from "express";
import { isSameSecret } from "../../platform/http/access.ts";
import { problemOf, RequestError } from "../../platform/http/problem.ts";
import type { Route } from "../../platform/http/route-table.ts";
import type { Logger } from "../../platform/logger.ts";
import { loginPage } from "../page/login-page.ts";
import { sendPage } from "../page/routes.ts";
import type { Login } from "./authorize.ts";
import type { LoginLimit } from "./login-limit.ts";

export interface LoginDeps {
  readonly login: Login;
  readonly limit: LoginLimit;
  readonly logger: Logger;
}

const form = express.urlencoded({ extended: false, limit: 4_096, parameterLimit: 10 });

/** The login's routes; there are none on a board without a login. */
export function loginRoutes(deps: LoginDeps): Route[] {
  return [
    {
      method: "get",
      path: "/login",
      permission: "open",
      handler: (req, res) => {
        sendPage(res, loginPage(safeTarget(req.query["next"])));
      },
    },
    {
      method: "post",
      path: "/login",
      permission: "open",
      before: [form],
      handler: (req, res) => signIn(deps, req, res),
    },
    {
      method: "post",
      path: "/logout",
      permission: "open",
      handler: async (req, res) => {
        await deps.login.sessions.end(req, res);
        res.redirect(303, "/login");
      },
    },
  ];
}

async function signIn({ login, limit, logger }: LoginDeps, req: Request, res: Response): Promise<void> {
  const { token, next } = (req.body ?? {}) as Readonly<Record<string, unknown>>;
  const address = req.ip ?? "unknown";
  try {
    await limit.take(address);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    logger.warn({ audit: true, address }, "sign-in refused: too many failures");
    res.set(problemOf(error).headers);
    sendPage(res, loginPage(safeTarget(next), error.message), error.status);
    return;
  }
  if (typeof token !== "string" || !isSameSecret(token, login.token)) {
    logger.warn({ audit: true, address }, "sign-in failed");
    sendPage(res, loginPage(safeTarget(next), "This is not the token."), 401);
    return;
  }
  await limit.clear(address);
  await login.sessions.open(res);
  logger.info({ audit: true, address }, "signed in");
  res.redirect(303, safeTarget(next));
}

/** A path on this board, whatever was asked for: a login must not lead to another site. */
export function safeTarget(next: unknown): string {
  if (typeof next !== "string" || !/^\/(?![/\\])[^\s\\]*$/.test(next)) return "/";
  return next;
}
