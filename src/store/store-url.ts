/** What a store URL names. */
import { isAbsolute } from "node:path";
import { InvalidInputError } from "../contract/errors.ts";

export type StoreTarget =
  { readonly kind: "sqlite"; readonly path: string } | { readonly kind: "postgres"; readonly url: string };

/** Reads `sqlite:/absolute/path/headroom.db` or `postgres://…`. @throws {InvalidInputError} when it is neither */
export function parseStoreUrl(url: string): StoreTarget {
  const scheme = /^[a-z]+(?=:)/.exec(url)?.[0];
  if (scheme === "postgres" || scheme === "postgresql") return { kind: "postgres", url };
  const path = url.slice("sqlite:".length).replace(/^\/{2,}/, "/");
  if (scheme === "sqlite" && isAbsolute(path) && !path.endsWith("/") && !path.includes("\0")) {
    return { kind: "sqlite", path };
  }
  const found = scheme === "sqlite" ? JSON.stringify(url) : scheme === undefined ? "no scheme" : `scheme "${scheme}"`;
  throw new InvalidInputError("store URL", [
    { where: "store", expected: "sqlite:/absolute/path/headroom.db or postgres://host/database", found },
  ]);
}
