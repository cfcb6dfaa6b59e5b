/** A small API server of Kubernetes with a certificate of a made authority, and the folder of an account that trusts it. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { PodPlace } from "../../src/worker/pod-cost.ts";
import { Scratch } from "./scratch.ts";

export interface Patch {
  readonly method: string;
  readonly path: string;
  readonly type: string;
  readonly token: string;
  readonly body: unknown;
}

export class PodApi implements AsyncDisposable {
  readonly patches: Patch[] = [];
  readonly scratch = new Scratch();
  status = 200;
  readonly #server: Server;

  static async open(): Promise<PodApi> {
    const api = new PodApi();
    api.#server.listen(0, "127.0.0.1");
    await once(api.#server, "listening");
    return api;
  }

  private constructor() {
    const folder = this.scratch.path;
    const ssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "ignore" });
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    ssl("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=made authority", "-days", "2");
    ssl("req", ...key, "-keyout", "api.key", "-out", "api.csr", "-subj", "/CN=kubernetes");
    writeFileSync(join(folder, "names"), "subjectAltName=IP:127.0.0.1");
    const by = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"];
    ssl("x509", "-req", "-in", "api.csr", ...by, "-out", "api.crt", "-days", "2", "-extfile", "names");
    this.renewToken("token-1");
    const read = (name: string) => readFileSync(join(folder, name));
    this.#server = createServer({ key: read("api.key"), cert: read("api.crt") }, (request, response) => {
      let text = "";
      request.setEncoding("utf8").on("data", (part: string) => (text += part));
      request.on("end", () => {
        const { method = "", url: path = "", headers } = request;
        const [type = "", token = ""] = [headers["content-type"], headers.authorization];
        this.patches.push({ method, path, type, token, body: JSON.parse(text) as unknown });
        response.writeHead(this.status).end("{}");
      });
    });
  }

  get place(): PodPlace {
    const { port } = this.#server.address() as AddressInfo;
    const names = { name: "worker-0", namespace: "jobs" };
    return { ...names, apiHost: "127.0.0.1", apiPort: port, accountFolder: this.scratch.path };
  }

  renewToken(token: string): void {
    writeFileSync(join(this.scratch.path, "token"), `${token}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    this.scratch[Symbol.dispose]();
  }
}
