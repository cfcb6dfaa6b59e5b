/** Who may talk to a port: loopback or not, bearer tokens, requests that another site's page made. */
import type { Request, RequestHandler } from "express";
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { RequestError } from "./problem.ts";

/** Whether an address to listen on can only be reached from this machine. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, "").toLowerCase();
  return bare === "localhost" || bare === "::1" || /^127(\.\d{1,3}){3}$/.test(bare) || bare === "::ffff:127.0.0.1";
}

/** A new secret of 256 bits. */
export function newToken(): string {
  return randomBytes(32).toString("base64url");
}

/** SHA-256 in hex: what is kept of a secret. */
export function digestOf(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

/** Compares secrets in a time that tells nothing of either, not even their lengths. */
export function isSameSecret(given: string, expected: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

/** The bearer token of a request, or undefined. */
export function bearerOf(req: Request): string | undefined {
  return /^Bearer ([A-Za-z0-9._~+/=-]+)$/i.exec(req.get("authorization") ?? "")?.[1];
}

/**
 * Refuses unsafe requests that a page of another site made. Programs send neither header and pass.
 * `publicOrigin` is the origin that browsers use when a proxy stands between.
 */
export function refuseCrossSite(publicOrigin?: string): RequestHandler {
  return (req, _res, next) => {
    if (!isUnsafe(req.method) || isSameSite(req, publicOrigin)) {
      next();
      return;
    }
    next(new RequestError(403, "expected a request of this site, found one of another", { code: "ERR_CROSS_SITE" }));
  };
}

/** What a proxy says of whom it speaks for. */
const PROXY_HEADERS = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/**
 * Refuses requests that name another host, or that a proxy brought. Without a login, that is what keeps a web page from
 * reaching this machine by a name of its own that resolves to 127.0.0.1, and the world from reaching it by a proxy that
 * was put in front without one.
 */
export function refuseForeignHost(): RequestHandler {
  return (req, _res, next) => {
    const host = (req.get("host") ?? "").replace(/:\d+$/, "");
    const brought = PROXY_HEADERS.find((header) => req.get(header) !== undefined);
    if (!isLoopback(host)) {
      next(foreign("expected a loopback name in the Host header, found another"));
    } else if (brought !== undefined) {
      next(
        foreign(`expected a request of this machine, found one that a proxy brought (${brought}): a login is needed`),
      );
    } else {
      next();
    }
  };
}

function foreign(message: string): RequestError {
  return new RequestError(421, message, { code: "ERR_FOREIGN_HOST" });
}

/** Whether a method may change something. */
function isUnsafe(method: string): boolean {
  return !["GET", "HEAD", "OPTIONS"].includes(method);
}

function isSameSite(req: Request, publicOrigin: string | undefined): boolean {
  const origin = req.get("origin");
  if (publicOrigin !== undefined && origin === publicOrigin) return true;
  const site = req.get("sec-fetch-site");
  if (site !== undefined) return site === "same-origin" || site === "none";
  if (origin === undefined) return true;
  return URL.canParse(origin) && new URL(origin).host === req.get("host");
}
