/** The Dockerfile keeps the rules that an image is judged by, and what it copies and says is there. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { boardDefaults } from "../../src/board/config.ts";
import { createProgram } from "../../src/cli/main.ts";
import { producerDefaults } from "../../src/producer/config.ts";
import { copiesOf, lastOf, lineageOf, parseDockerfile } from "../support/dockerfile.ts";
import { quietIo } from "../support/quiet-io.ts";
import { Scratch } from "../support/scratch.ts";

const root = join(import.meta.dirname, "../..");
const text = readFileSync(join(root, "Dockerfile"), "utf8");
const stages = parseDockerfile(text);
const targets = ["cpu", "cuda", "all-in-one"] as const;
/** What each installs. */
const packages: Readonly<Record<(typeof targets)[number], readonly string[]>> = {
  cpu: ["liblz4-1", "libpq5", "libzstd1", "tini", "zlib1g"],
  cuda: ["tini"],
  "all-in-one": ["liblz4-1", "libpq5", "libzstd1", "tini", "zlib1g", "valkey-server"],
};
const DIGEST = /^[a-z0-9/.-]+:[A-Za-z0-9._-]+@sha256:[0-9a-f]{64}$/;

describe("Dockerfile", () => {
  test("has its three targets, and every stage is used", () => {
    const names = stages.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining([...targets]));
    const used = new Set(stages.flatMap((stage) => [stage.base, ...copiesOf(stage).map(({ from }) => from)]));
    expect(names.filter((name) => !used.has(name) && !(name in packages))).toEqual([]);
  });

  test("pins every base by digest", () => {
    const names = new Set(stages.map(({ name }) => name));
    const bases = stages.map(({ base }) => base).filter((base) => !names.has(base) && base !== "scratch");
    expect(bases.length).toBeGreaterThan(1);
    for (const base of bases) expect(base).toMatch(DIGEST);
    for (const { from } of stages.flatMap(copiesOf)) if (from !== undefined) expect(names).toContain(from);
  });

  test.each(targets)("%s runs as a numeric user who is not root, behind tini, and is looked after", (target) => {
    expect(lastOf(stages, target, "USER")).toBe("10001:10001");
    expect(lastOf(stages, target, "ENTRYPOINT")).toBe('["/usr/bin/tini", "--", "headroom"]');
    expect(lastOf(stages, target, "HEALTHCHECK")).toContain("/app/healthcheck.js");
    expect(lastOf(stages, target, "LABEL")).toContain("org.opencontainers.image.title=");
    expect(copiesOf(stages.find(({ name }) => name === "app") ?? fail("app"))).toContainEqual({
      from: "modules",
      sources: ["/modules/sbom.spdx.json"],
      target: "/app/sbom.spdx.json",
    });
  });

  test("fetches nothing by ADD, and leaves no list of apt behind", () => {
    const all = stages.flatMap(({ instructions }) => instructions);
    expect(all.filter(({ keyword }) => keyword === "ADD")).toEqual([]);
    const inImages = targets.flatMap((target) => lineageOf(stages, target)).flatMap(({ instructions }) => instructions);
    const installs = inImages.filter(({ keyword, text: run }) => keyword === "RUN" && run.includes("apt-get"));
    expect(installs.length).toBeGreaterThan(2);
    for (const { text: run } of installs) {
      expect(run).toMatch(/^apt-get update +&& apt-get install -y --no-install-recommends /);
      expect(run).toContain("rm -rf /var/lib/apt/lists/*");
    }
  });

  test.each(targets)("%s has no tools for building", (target) => {
    const runs = lineageOf(stages, target).flatMap(({ instructions }) =>
      instructions.filter((i) => i.keyword === "RUN"),
    );
    const words = runs.flatMap(({ text: run }) =>
      (/install -y --no-install-recommends ([a-z0-9 .+-]*)/.exec(run)?.[1] ?? "").trim().split(" "),
    );
    expect(words.filter((word) => word !== "")).toEqual(packages[target]);
    const npm = runs.filter(({ text: run }) => /\bnpm (ci|install|rebuild|run)\b/.test(run));
    expect(npm).toEqual([]);
  });

  test("has the pg_dump of the version of PostgreSQL that is shipped, which a backup of its store needs", () => {
    const [, client = "none"] = /apt-get download postgresql-client-(\d+)/.exec(text) ?? [];
    expect(copiesOf(stages.find(({ name }) => name === "base") ?? fail("base"))).toEqual([
      { from: "postgres-client", sources: ["/client/root"], target: "/" },
    ]);
    for (const path of ["docker-compose.yml", "deploy/k8s/components/postgres/postgres.yaml"]) {
      const manifest = readFileSync(join(root, path), "utf8");
      expect(/image: postgres:(\d+)\./.exec(manifest)?.[1], path).toBe(client);
      expect(/PGDATA(?:, value)?: \/var\/lib\/postgresql\/(\d+)\/docker/.exec(manifest)?.[1], path).toBe(client);
    }
  });

  test("copies what is in the repository, and the build's context has just that", () => {
    const sources = stages.flatMap(copiesOf).flatMap(({ from, sources: paths }) => (from === undefined ? paths : []));
    expect(sources.filter((path) => !existsSync(join(root, path)))).toEqual([]);
    const ignored = readFileSync(join(root, ".dockerignore"), "utf8")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
    expect(ignored[0]).toBe("*");
    expect(
      ignored
        .slice(1)
        .map((line) => line.replace("!", ""))
        .toSorted(),
    ).toEqual([...new Set(sources)].toSorted());
  });

  test("sets variables and ports that the code knows", async () => {
    const variables = [...text.matchAll(/\b(HEADROOM_[A-Z_]+)=/g)].map(([, name]) => name);
    const program = await createProgram({ io: quietIo(root), childCommand: undefined, exitCode: 0 });
    const known = program.commands.flatMap(({ options }) => options).map(({ envVar }) => envVar);
    expect(new Set(variables)).toEqual(new Set(["HEADROOM_HOME", "HEADROOM_OPS_HOST", "HEADROOM_OPS_PORT"]));
    for (const name of ["HEADROOM_OPS_HOST", "HEADROOM_OPS_PORT"]) expect(known).toContain(name);
    expect(lastOf(stages, "cpu", "EXPOSE")).toBe(`${boardDefaults.port} ${producerDefaults.port} 9100`);
  });

  test("the images have what the code reads beside itself", () => {
    const app = stages.find(({ name }) => name === "app") ?? fail("app");
    const there = copiesOf(app).flatMap(({ from, sources }) => (from === undefined ? sources : []));
    const outside = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".ts"))
      .flatMap((path) => {
        const source = readFileSync(join(root, "src", path), "utf8");
        const urls = source.matchAll(/new URL\("(\.\.[^"]*)", import\.meta\.url\)/g);
        return [...urls].map(([, url = ""]) => join("src", dirname(path), url).split("/")[0] ?? "");
      })
      .filter((folder) => folder !== "src" && folder !== "dist");
    expect(outside).toContain("prompts");
    expect(outside.filter((name) => !there.includes(name))).toEqual([]);
  });
});

describe("the image for cards", () => {
  const instructions = (name: string, keyword: string) =>
    (stages.find((stage) => stage.name === name) ?? fail(name)).instructions
      .filter((instruction) => instruction.keyword === keyword)
      .map((instruction) => instruction.text);

  test("has the CUDA that the installed ONNX Runtime is made for, with cuDNN", () => {
    const script = join(root, "node_modules/onnxruntime-node/script/install-metadata.js");
    const { requirements } = createRequire(import.meta.url)(script) as { requirements: Record<string, string[]> };
    const [, asked = "none"] = /ONNXRUNTIME_NODE_INSTALL=(\w+)/.exec(instructions("modules-cuda", "RUN").join()) ?? [];
    expect(requirements["linux/x64"]).toEqual([asked]);
    const base = stages.find(({ name }) => name === "base-cuda")?.base ?? "none";
    expect(base).toMatch(new RegExp(`^nvidia/cuda:${asked.replace("cuda", "")}\\.[0-9.]+-cudnn-runtime-`));
  });

  test("is not made where a library is missing that ONNX Runtime needs, but for that of the driver", () => {
    using scratch = new Scratch();
    const bin = join(root, "node_modules/onnxruntime-node/bin/napi-v6/linux", process.arch);
    const check = instructions("cuda", "RUN").find((run) => run.includes("ldd ")) ?? fail("cuda with ldd");
    const over = (library: string) =>
      spawnSync("sh", ["-c", check.replace(/\/app\/\S+\.so/, library)], { encoding: "utf8" });
    // It looks beside itself for libonnxruntime.so.1, which is not copied.
    const alone = join(scratch.path, "alone.node");
    copyFileSync(join(bin, "onnxruntime_binding.node"), alone);
    const missing = over(alone);
    expect(missing.status).not.toBe(0);
    expect(missing.stdout).toMatch(/libonnxruntime\.so\.1 => not found/);
    expect(over(join(bin, "onnxruntime_binding.node"))).toMatchObject({ status: 0, stdout: "" });
    const said = scratch.file("bin/ldd", "#!/bin/sh\nprintf '\\tlibcuda.so.1 => not found\\n'\n");
    chmodSync(said, 0o755);
    const env = { PATH: `${dirname(said)}:${process.env["PATH"] ?? ""}` };
    expect(spawnSync("sh", ["-c", check], { env, encoding: "utf8" })).toMatchObject({ status: 0, stdout: "" });
  });
});

describe("prune-modules", () => {
  const prune = (...args: string[]) =>
    execFileSync(process.execPath, [join(root, "scripts/prune-modules.js"), ...args], {
      encoding: "utf8",
      stdio: "pipe",
    });

  test("keeps the binaries of the platform and what is run, deletes those of others and what nobody runs", () => {
    const scratch = new Scratch();
    onTestFinished(() => {
      scratch[Symbol.dispose]();
    });
    const kept = [
      "onnxruntime-node/bin/napi-v6/linux/arm64/a.node",
      "@scope/sqlite/prebuilds/linux-arm64/a.node",
      "a/node_modules/b/prebuilds/linux-arm64/a.node",
      "only-mac/prebuilds/darwin-arm64/a.node",
      "tool/bin/linux/x64/run.js",
      "both/b.glibc.node",
      "only-musl/b.musl.node",
      "a/lib/main.mjs",
      "a/lib/lua/add.lua",
    ];
    const deleted = [
      "onnxruntime-node/bin/napi-v6/linux/x64/a.node",
      "onnxruntime-node/bin/napi-v6/darwin/arm64/a.node",
      "@scope/sqlite/prebuilds/win32-arm64/a.node",
      "a/node_modules/b/prebuilds/linux-x64/a.node",
      "both/b.musl.node",
      "@scope/sqlite/src/sqlite3.c",
      "@scope/sqlite/src/impl.cpp",
      "@scope/sqlite/binding.gyp",
      "a/lib/main.d.mts",
      "a/lib/main.mjs.map",
      "a/src/main.ts",
    ];
    for (const path of [...kept, ...deleted]) {
      mkdirSync(dirname(join(scratch.path, path)), { recursive: true });
      writeFileSync(join(scratch.path, path), "x");
    }
    prune(scratch.path, "linux", "arm64");
    expect([...kept, ...deleted].filter((path) => existsSync(join(scratch.path, path)))).toEqual(kept);
  });

  test("says what it expected when there is no such folder", () => {
    expect(() => prune("/nonexistent")).toThrow(/prune-modules: expected a node_modules folder, found \/nonexistent/);
  });
});

describe("the list of what is in an image", () => {
  test.each(targets)("of %s is made whole behind the last thing that is put in", (target) => {
    const adding = lineageOf(stages, target)
      .flatMap(({ instructions }) => instructions)
      .filter(({ keyword, text: run }) => keyword === "COPY" || (keyword === "RUN" && run !== ""));
    expect(adding.at(-1)?.text).toMatch(/(^|&& +)node \/app\/list-packages\.js$/);
  });

  test("has npm's packages, the system's, Node and what was fetched for CUDA, each once", () => {
    const scratch = new Scratch();
    onTestFinished(() => {
      scratch[Symbol.dispose]();
    });
    const document = {
      SPDXID: "SPDXRef-DOCUMENT",
      packages: [{ name: "zod", SPDXID: "SPDXRef-zod" }],
      relationships: [],
    };
    const path = scratch.file("sbom.spdx.json", JSON.stringify(document));
    const bin = `node_modules/onnxruntime-node/bin/napi-v6/linux/${process.arch}`;
    scratch.file(`${bin}/libonnxruntime_providers_cuda.so`, "x");
    scratch.file("node_modules/onnxruntime-node/package.json", '{"version":"1.2.3"}');
    const script = join(root, "deploy/image/list-packages.js");
    // As dpkg-deb writes it; the version has an epoch.
    const control =
      "Package: a-client-17\nSource: a\nVersion: 1:17.2-0+deb13u1\nArchitecture: amd64\nDescription: x\n y\n";
    const records = dirname(scratch.file("status.d/a-client-17", control));
    // The image for trying is built on another one, whose list is there already.
    for (const _ of [1, 2]) execFileSync(process.execPath, [script, scratch.path, records], { stdio: "pipe" });
    const { packages: all, relationships } = JSON.parse(readFileSync(path, "utf8")) as {
      packages: { name: string; SPDXID: string; externalRefs?: { referenceLocator: string }[] }[];
      relationships: { relatedSpdxElement: string }[];
    };
    const names = all.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["zod", "node", "onnxruntime-providers-cuda", "perl-base", "libc6"]));
    expect(new Set(all.map(({ SPDXID }) => SPDXID)).size).toBe(all.length);
    expect(all.map(({ SPDXID }) => SPDXID).filter((id) => !/^SPDXRef-[A-Za-z0-9.-]+$/.test(id))).toEqual([]);
    expect(relationships).toHaveLength(all.length - 1);
    const client = all.find(({ name }) => name === "a-client-17")?.externalRefs?.[0]?.referenceLocator;
    expect(client).toMatch(/^pkg:deb\/(debian|ubuntu)\/a-client-17@1%3A17\.2-0%2Bdeb13u1\?arch=amd64$/);
    const perl = all.find(({ name }) => name === "perl-base")?.externalRefs?.[0]?.referenceLocator;
    expect(perl).toMatch(/^pkg:deb\/(debian|ubuntu)\/perl-base@5[^?]+\?arch=(amd64|arm64)$/);
  });
});

function fail(name: string): never {
  throw new Error(`expected a stage named ${name} in the Dockerfile, found none`);
}
