/** Sessions of people who signed in. Redis keeps a digest of each id until it expires; the cookie alone has the id. */
import type { CookieOptions, Request, Response } from "express";
import type { Redis } from "ioredis";
import { digestOf, newToken } from "../../platform/http/access.ts";

export interface SessionConfig {
  /** The result of `keyPrefix`. */
  readonly prefix: string;
  readonly seconds: number;
  readonly isSecure: boolean;
  /** Sessions that were opened with another token are not valid any more. */
  readonly token: string;
}

/** Opens, finds and ends sessions. */
export class Sessions {
  readonly #redis: Redis;
  readonly #config: SessionConfig;
  readonly #tokenDigest: string;

  constructor(redis: Redis, config: SessionConfig) {
    this.#redis = redis;
    this.#config = config;
    this.#tokenDigest = digestOf(`session:${config.token}`);
  }

  async open(res: Response): Promise<void> {
    const id = newToken();
    await this.#redis.set(this.#keyOf(id), this.#tokenDigest, "EX", this.#config.seconds);
    res.cookie(this.#cookieName, id, { ...this.#cookie(), maxAge: this.#config.seconds * 1_000 });
  }

  async isValid(req: Request): Promise<boolean> {
    const id = this.#idOf(req);
    return id !== undefined && (await this.#redis.get(this.#keyOf(id))) === this.#tokenDigest;
  }

  async end(req: Request, res: Response): Promise<void> {
    const id = this.#idOf(req);
    if (id !== undefined) await this.#redis.del(this.#keyOf(id));
    res.clearCookie(this.#cookieName, this.#cookie());
  }

  /** With the `__Host-` prefix, a browser takes the cookie only from this very host over https. */
  get #cookieName(): string {
    return this.#config.isSecure ? "__Host-headroom" : "headroom";
  }

  #cookie(): CookieOptions {
    return { httpOnly: true, sameSite: "lax", secure: this.#config.isSecure, path: "/" };
  }

  #idOf(req: Request): string | undefined {
    for (const part of (req.get("cookie") ?? "").split(";")) {
      const [name, value] = part.trim().split("=", 2);
      if (name === this.#cookieName && value !== undefined && /^[A-Za-z0-9_-]{43}$/.test(value)) return value;
    }
    return undefined;
  }

  #keyOf(id: string): string {
    return `${this.#config.prefix}:board:session:${digestOf(id)}`;
  }
}
