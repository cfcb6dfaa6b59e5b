/** The files that an image of the Dockerfile would have, in a folder: what its last stage copies, and nothing else. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { copiesOf, lineageOf, parseDockerfile, type Copy, type Stage } from "./dockerfile.ts";

const repository = join(import.meta.dirname, "../..");

export interface ImageRoot extends Disposable {
  readonly path: string;
  /** The variables that the image sets. */
  readonly env: Readonly<Record<string, string>>;
}

/** Needs `npm run build`. The caller disposes of it. */
export function makeImageRoot(target: string): ImageRoot {
  if (!existsSync(join(repository, "dist/cli/main.js"))) {
    throw new Error("expected the built program in dist, found none; to make it: npm run build");
  }
  const stages = parseDockerfile(readFileSync(join(repository, "Dockerfile"), "utf8"));
  const work = mkdtempSync(join(tmpdir(), "headroom-image-"));
  // Its processes run as another user.
  chmodSync(work, 0o755);
  const image = new ImageFiles(stages, work);
  const path = join(work, "root");
  const lineage = lineageOf(stages, target);
  for (const copy of lineage.flatMap(copiesOf)) image.copy(copy, path);
  return {
    path,
    env: variablesOf(lineage),
    [Symbol.dispose]: () => {
      rmSync(work, { recursive: true, force: true });
    },
  };
}

class ImageFiles {
  readonly #stages: readonly Stage[];
  readonly #work: string;

  constructor(stages: readonly Stage[], work: string) {
    this.#stages = stages;
    this.#work = work;
  }

  copy({ from, sources, target }: Copy, root: string): void {
    for (const source of sources) {
      const path = from === undefined ? join(repository, source) : this.#pathIn(from, source);
      const isInto = target.endsWith("/") || sources.length > 1;
      // Docker copies what a folder holds, and a file under its name.
      const to = join(root, target, isInto && statSync(path).isFile() ? basename(path) : "");
      mkdirSync(join(to, ".."), { recursive: true });
      cpSync(path, to, { recursive: true, dereference: true });
    }
  }

  /** Where a path of an earlier stage lies here. */
  #pathIn(stage: string, path: string): string {
    switch (stage) {
      case "build":
        return join(repository, path.replace(/^\/build\//, ""));
      case "modules":
        return join(this.#modules(), path.replace(/^\/modules\//, ""));
      case "postgres-client": {
        // Programs of another release than this machine's, which tests/integration/deploy/postgres-client.test.ts makes and runs.
        const empty = join(this.#work, stage);
        mkdirSync(empty, { recursive: true });
        return empty;
      }
      default: {
        const root = join(this.#work, stage);
        if (!existsSync(root)) {
          for (const copy of this.#stages.filter(({ name }) => name === stage).flatMap(copiesOf)) this.copy(copy, root);
        }
        return join(root, path);
      }
    }
  }

  /** What the stage `modules` makes: what `npm ci --omit=dev` would install, after all that the stage runs behind that. */
  #modules(): string {
    const folder = join(this.#work, "modules");
    if (existsSync(folder)) return folder;
    mkdirSync(folder);
    const stage = this.#stages.find(({ name }) => name === "modules") ?? fail("a stage named modules", "none");
    for (const copy of copiesOf(stage)) this.copy(copy, folder);
    for (const path of installedPackages()) copyFolder(join(repository, path), join(folder, path));
    linkPrograms(folder);
    const [install, ...rest] = stage.instructions.filter(({ keyword }) => keyword === "RUN");
    if (install?.text.includes("npm ci --omit=dev") !== true) fail("npm ci --omit=dev first", install?.text ?? "none");
    for (const { text } of rest) execFileSync("sh", ["-c", text], { cwd: folder, stdio: "pipe" });
    return folder;
  }
}

function fail(expected: string, found: string): never {
  throw new Error(`expected ${expected} in the Dockerfile, found ${found}`);
}

/** Links the files where it can: they are many, and nobody changes them. */
function copyFolder(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  if (spawnSync("cp", ["-RL", "--link", from, to]).status === 0) return;
  // Another file system.
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true, dereference: true });
}

/** Their programs, as npm links them: without a link it would install the package anew. */
function linkPrograms(folder: string): void {
  const [from, to] = [repository, folder].map((root) => join(root, "node_modules/.bin")) as [string, string];
  mkdirSync(to);
  for (const name of readdirSync(from)) {
    const target = readlinkSync(join(from, name));
    if (existsSync(join(to, target))) symlinkSync(target, join(to, name));
  }
}

/**
 * The folders of packages that npm installs without development dependencies, as far as they are for this platform: those
 * that a package could use stay (`devOptional`).
 */
function installedPackages(): string[] {
  const lock = JSON.parse(readFileSync(join(repository, "package-lock.json"), "utf8")) as {
    packages: Record<string, { dev?: boolean }>;
  };
  return Object.entries(lock.packages)
    .filter(([path, { dev }]) => path !== "" && dev !== true)
    .map(([path]) => path)
    .filter((path) => !path.slice(1).includes("/node_modules/") && existsSync(join(repository, path)));
}

/** The variables that the image sets, those of its bases first. */
function variablesOf(stages: readonly Stage[]): Record<string, string> {
  const texts = stages.flatMap(({ instructions }) => instructions.filter(({ keyword }) => keyword === "ENV"));
  return Object.fromEntries(
    texts.flatMap(({ text }) => text.split(/\s+/).map((pair) => pair.split(/=(.*)/s).slice(0, 2) as [string, string])),
  );
}
