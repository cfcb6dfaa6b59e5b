import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { parseDockerfile } from "../../support/dockerfile.ts";
import { IMAGE_UID, runInImage, type ImageProcessOptions } from "../../support/image-process.ts";
import { makeImageRoot, type ImageRoot } from "../../support/image-root.ts";
import { Scratch } from "../../support/scratch.ts";

const repository = join(import.meta.dirname, "../../..");

let image: ImageRoot;
beforeAll(() => {
  image = makeImageRoot("cpu");
});
afterAll(() => {
  image[Symbol.dispose]();
});

async function call(command: readonly string[], options?: ImageProcessOptions) {
  await using process = runInImage(image, command, options);
  const code = await process.ended;
  return { code, output: process.output(), stdout: process.stdout() };
}

/** A folder here that the image's user can write to. */
function dataFolder(): string {
  const scratch = new Scratch();
  onTestFinished(() => {
    scratch[Symbol.dispose]();
  });
  chmodSync(scratch.path, 0o755);
  const path = join(scratch.path, "data");
  mkdirSync(path);
  if (process.getuid?.() === 0) chownSync(path, IMAGE_UID, IMAGE_UID);
  return path;
}

/** A proxy that refuses every connection, and knows whither each was to go. */
async function startClosedProxy() {
  const asked: string[] = [];
  const server = createServer();
  server.on("connect", (request, socket) => {
    asked.push(request.url ?? "");
    socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    asked,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

describe("the image's files, as its user over a read-only root", () => {
  test("run a binary over files", async () => {
    const data = dataFolder();
    const args = ["--input", "/app/examples/files", "--output", "/data/sums", "--json"];
    const { code, output, stdout } = await call(["headroom", "run", ...args, "--", "sha256sum", "{input}"], {
      writable: { "/data": data },
    });
    expect(code, output).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ files: { succeeded: 12, total: 12 } });
    expect(readFileSync(join(data, "sums/letters/reply.txt.output"), "utf8")).toMatch(
      /^[0-9a-f]{64} {2}\/app\/examples/,
    );
  });

  test("run a model over files with what is left of the native binaries", async () => {
    const data = dataFolder();
    const args = ["--model", "/app/models/file-kind", "--input", "/app/examples/files", "--output", "/data/kinds"];
    const { code, output } = await call(["headroom", "infer", ...args], { writable: { "/data": data } });
    expect(code, output).toBe(0);
    expect(readFileSync(join(data, "kinds/results.jsonl"), "utf8").trim().split("\n")).toHaveLength(12);
    expect(readdirSync(join(image.path, "app/node_modules/onnxruntime-node/bin/napi-v6"))).toEqual([process.platform]);
  });

  test("cannot change the program, and have nothing that only building needs", async () => {
    const { code, output } = await call(["touch", "/app/dist/cli/main.js", "/app/new", "/new", "/usr/new"]);
    expect(code).toBe(1);
    expect(output.match(/Read-only file system|Permission denied/g)).toHaveLength(4);
    const packages = readdirSync(join(image.path, "app/node_modules"));
    expect(packages.filter((name) => ["typescript", "vitest", "eslint", "prettier"].includes(name))).toEqual([]);
    const list = JSON.parse(readFileSync(join(image.path, "app/sbom.spdx.json"), "utf8")) as {
      packages: { name: string }[];
    };
    const listed = list.packages.map(({ name }) => name);
    // The second is a dependency of tools for development too.
    expect(listed).toEqual(expect.arrayContaining(["bullmq", "zod", "onnxruntime-node"]));
    expect(listed).not.toContain("typescript");
  });

  test("are of binaries that both bases can load: their C library is not older than any asks for", () => {
    const modules = join(image.path, "app/node_modules");
    const binaries = readdirSync(modules, { recursive: true, encoding: "utf8" })
      .filter((path) => /\.node$|\.so(\.\d+)*$/.test(path))
      .map((path) => join(modules, path));
    expect(binaries.length).toBeGreaterThan(4);
    const asked = [...binaries, process.execPath].flatMap((path) =>
      [...readFileSync(path, "latin1").matchAll(/\bGLIBC_2\.(\d+)\b/g)].map(([, minor]) => Number(minor)),
    );
    // Ubuntu 24.04 has 2.39, Debian 13 has 2.41.
    expect(readFileSync(join(repository, "Dockerfile"), "utf8")).toMatch(
      /^ARG CUDA_IMAGE=nvidia\/cuda:\S+-ubuntu24\.04@/m,
    );
    expect(Math.max(...asked)).toBeGreaterThan(13);
    expect(Math.max(...asked)).toBeLessThanOrEqual(39);
  });

  test.runIf(process.arch === "x64")("are made for cards by their own stage, or not at all", async () => {
    const stage = parseDockerfile(readFileSync(join(repository, "Dockerfile"), "utf8")).find(
      ({ name }) => name === "modules-cuda",
    );
    const command = stage?.instructions.find(({ keyword }) => keyword === "RUN")?.text ?? "";
    using scratch = new Scratch();
    for (const name of ["package.json", ".npmrc"]) copyFileSync(join(repository, name), join(scratch.path, name));
    execFileSync("cp", ["-a", join(image.path, "app/node_modules"), scratch.path]);
    const bin = join(scratch.path, "node_modules/onnxruntime-node/bin/napi-v6/linux/x64");
    const names = ["cuda", "shared", "tensorrt"].map((name) => `libonnxruntime_providers_${name}.so`);

    // Whom its install script asks, by a proxy that lets nothing through.
    await using proxy = await startClosedProxy();
    const env = { ...process.env, GLOBAL_AGENT_HTTPS_PROXY: proxy.url, GLOBAL_AGENT_HTTP_PROXY: proxy.url };
    const build = () => promisify(execFile)("sh", ["-c", command], { cwd: scratch.path, env });
    await expect(build()).rejects.toMatchObject({ code: 1 });
    expect(new Set(proxy.asked)).toEqual(new Set(["api.nuget.org:443"]));
    expect(names.filter((name) => existsSync(join(bin, name)))).toEqual([]);

    // With them there it has nothing to fetch, and what is for TensorRT goes.
    for (const name of names) writeFileSync(join(bin, name), "library");
    await build();
    expect(names.filter((name) => existsSync(join(bin, name)))).toEqual(names.slice(0, 2));
  });

  test("say whether the process lives", async () => {
    const { code, output } = await call(["node", "/app/healthcheck.js"], { env: { HEADROOM_OPS_PORT: "1" } });
    expect(code).toBe(1);
    expect(output).toContain("fetch failed");
  });
});
