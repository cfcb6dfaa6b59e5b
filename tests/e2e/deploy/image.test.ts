import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { IMAGE_UID, runInImage, type ImageProcessOptions } from "../../support/image-process.ts";
import { makeImageRoot, type ImageRoot } from "../../support/image-root.ts";
import { Scratch } from "../../support/scratch.ts";

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

  test("say whether the process lives", async () => {
    const { code, output } = await call(["node", "/app/healthcheck.js"], { env: { HEADROOM_OPS_PORT: "1" } });
    expect(code).toBe(1);
    expect(output).toContain("fetch failed");
  });
});
