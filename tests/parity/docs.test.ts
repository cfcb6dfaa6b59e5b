/** What README and docs say about commands, options, metrics, codes, keys and variables is what the code has, and all of it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { parse as parseYaml } from "yaml";
import { createProgram } from "../../src/cli/main.ts";
import { fileVariableOf, secretVariables } from "../../src/cli/secret-files.ts";
import { parseConfig } from "../../src/contract/config-faults.ts";
import { configLeaves } from "../../src/contract/config-json-schema.ts";
import { parseSizeBytes } from "../../src/contract/config-units.ts";
import { exitCodes } from "../../src/contract/errors.ts";
import { checkManifest } from "../../src/contract/model-manifest.ts";
import { metricTable } from "../../src/contract/metric-names.ts";
import { defaultRetryRules, failureClasses, outcomes, runStates } from "../../src/contract/outcomes.ts";
import { filePlaceholders, INPUTS } from "../../src/contract/template.ts";
import { Client } from "../../src/producer/client.ts";
import { openApiDocument } from "../../src/producer/openapi.ts";
import { quietIo } from "../support/quiet-io.ts";

const root = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");

const pages = ["README.md", "CHANGELOG.md", ...markdownBelow("docs")];
const allText = pages.map(read).join("\n");

function markdownBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".md"))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .toSorted();
}

/** Cells of the rows of all tables, as a reader sees them. */
function rowsOf(text: string): string[][] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll("\\|", "|")),
    );
}

/** The lines of fenced blocks of one language. */
function blocksOf(text: string, language: string): string[] {
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
    .filter((block) => block[1] === language)
    .map((block) => block[2] ?? "");
}

function codeSpansOf(text: string): string[] {
  return [...text.replace(/^```[\s\S]*?^```$/gm, "").matchAll(/`([^`\n]+)`/g)].map((span) => span[1] ?? "");
}

const program = await createProgram({
  io: quietIo(root),
  childCommand: undefined,
  exitCode: 0,
});

/** Every command by the words that call it; the program itself is the empty text. */
function commandsOf(command: Command, words = ""): Map<string, Command> {
  const found = new Map([[words, command]]);
  for (const below of command.commands) {
    for (const entry of commandsOf(below, `${words} ${below.name()}`.trim())) found.set(...entry);
  }
  return found;
}

const commands = commandsOf(program);

function flagsOf(command: Command): string[] {
  const help = command.createHelp();
  return help.visibleOptions(command).map((option) => option.flags);
}

describe("command line", () => {
  const page = read("docs/command-line.md").replaceAll("\\|", "|");

  test("docs/command-line.md names every command", () => {
    const missing = [...commands.keys()].filter((words) => words !== "" && !page.includes(`headroom ${words}`));
    const titles = ["worker", "scheduler", "producer", "board"];
    expect(missing.filter((words) => !titles.includes(words))).toEqual([]);
    for (const title of titles) expect(page).toMatch(new RegExp(`^\\| ${title} +\\| meaning`, "m"));
  });

  test("docs/command-line.md names every option", () => {
    const spans = new Set(codeSpansOf(page));
    const flags = [...commands.values()].flatMap(flagsOf);
    expect(flags.filter((text) => !spans.has(text) && !spans.has(`headroom ${text}`))).toEqual([]);
  });

  test("every command and option that the pages use exists", () => {
    expect(usesOf(allText).flatMap(faultsOfUse)).toEqual([]);
  });

  test("every option in a table of docs/command-line.md exists", () => {
    const known = new Set([...commands.values()].flatMap(flagsOf));
    const rows = rowsOf(read("docs/command-line.md"));
    const told = rows.flatMap(([first = ""]) => (first.startsWith("`-") ? [first.slice(1, -1)] : []));
    expect(told.filter((flags) => !known.has(flags))).toEqual([]);
  });

  test("the README names every placeholder", () => {
    const spans = new Set(codeSpansOf(read("README.md")));
    const names = [...filePlaceholders.map((name) => `{${name}}`), INPUTS];
    expect(names.filter((name) => !spans.has(name))).toEqual([]);
  });
});

/** What follows `headroom` in the shell blocks and code spans, up to the user's own command. */
function usesOf(text: string): string[] {
  const lines = [...blocksOf(text, "sh").flatMap((block) => block.split("\n")), ...codeSpansOf(text)];
  return lines.flatMap((line) => {
    const [, use = ""] = /(?:^|\s)headroom ((?:[a-z-]|\[)[^|>&)]*)/.exec(line.split(" -- ")[0] ?? "") ?? [];
    return use === "" ? [] : [use];
  });
}

function faultsOfUse(use: string): string[] {
  const words = use.trim().split(/\s+/);
  let [name, command] = ["", program];
  for (const word of words) {
    const below = commands.get(`${name} ${word}`.trim());
    if (below === undefined) break;
    [name, command] = [`${name} ${word}`.trim(), below];
  }
  const isHelp = words[0] === "help" || words[0]?.startsWith("-") === true || words[0] === "COMMAND";
  if (command === program && !isHelp) return [`no command: headroom ${use}`];
  const known = new Set(flagsOf(command).flatMap((flags) => flags.split(/[ ,]+/)));
  return words
    .filter((word) => /^--?[a-z0]/.test(word) && !known.has(word.replace(/[=,].*$/, "")))
    .map((word) => `no option ${word}: headroom ${use}`);
}

describe("tables", () => {
  test("docs/operations.md has every metric as the code has it, and no other", () => {
    const told = rowsOf(read("docs/operations.md")).filter(([name]) => /^`headroom_\w+`$/.test(name ?? ""));
    const rows = told.filter((row) => row.length === 4).map((row) => row.join(" | "));
    const real = Object.entries(metricTable).map(([name, { type, labels, help }]) =>
      [`\`${name}\``, type, labels.map((label) => `\`${label}\``).join(", "), help].join(" | "),
    );
    expect(rows).toEqual(real);
    const names = [...allText.matchAll(/\bheadroom_[a-z_]+\b/g)].map(([name]) => name);
    expect(names.filter((name) => !(name in metricTable))).toEqual([]);
  });

  test("docs/failures.md has every error code, and the pages have no other", () => {
    const codes = (text: string) => new Set([...text.matchAll(/\bERR_[A-Z_]+\b/g)].map(([code]) => code));
    const page = codes(read("docs/failures.md"));
    const classes = codes(read("src/contract/errors.ts").replace(/^\/\*\*.*$/gm, ""));
    classes.delete("ERR_");
    expect([...classes].filter((code) => !page.has(code))).toEqual([]);
    const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".ts"))
      .map((path) => read(join("src", path)));
    const known = codes(sources.join("\n"));
    expect([...codes(allText)].filter((code) => !known.has(code))).toEqual([]);
  });

  test("docs/failures.md has every exit code, outcome and state of a run", () => {
    const page = read("docs/failures.md");
    const first = rowsOf(page).map(([cell]) => cell);
    for (const code of Object.values(exitCodes)) expect(first).toContain(String(code));
    for (const outcome of outcomes) expect(first).toContain(`\`${outcome}\``);
    for (const state of runStates) expect(codeSpansOf(page)).toContain(state);
  });

  test.each(["README.md", "docs/failures.md"])("%s has every failure class with its starts", (path) => {
    const rows = rowsOf(read(path)).filter(([, , starts = ""]) => /^\d+$/.test(starts));
    const told = rows.map(([name, , starts]) => [name, Number(starts)]);
    expect(told).toEqual(failureClasses.map((name) => [`\`${name}\``, defaultRetryRules[name].attempts]));
  });

  test("docs/http-api.md has every route, and docs/client.md every method", () => {
    const { paths } = openApiDocument() as { paths: Record<string, Record<string, unknown>> };
    const routes = Object.entries(paths).flatMap(([path, item]) =>
      ["get", "post", "patch", "delete"]
        .filter((method) => method in item)
        .map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(codeSpansOf(read("docs/http-api.md"))).toEqual(expect.arrayContaining(routes));
    const properties = Object.entries(Object.getOwnPropertyDescriptors(Client.prototype));
    const methods = properties.flatMap(([name, { value }]) =>
      typeof value === "function" && name !== "constructor" ? [name] : [],
    );
    const told = rowsOf(read("docs/client.md")).flatMap(([cell = ""]) => /^`(\w+)\(/.exec(cell)?.slice(1) ?? []);
    expect(told.toSorted()).toEqual(methods.toSorted());
  });
});

describe("configuration", () => {
  const rows = rowsOf(read("docs/configuration.md"));

  test("docs/configuration.md has every key with its variable, and no other", () => {
    const told = rows.flatMap(([key = "", variable = ""]) =>
      /^`[a-z]/.test(key) && variable.startsWith("`HEADROOM_") ? [`${key} ${variable}`] : [],
    );
    const fields = ["attempts", "backoff_ms", "backoff_factor", "max_backoff_ms"];
    const real = [
      ...configLeaves
        .filter(({ path }) => path[0] !== "retry")
        .map(({ path, variable }) => `\`${path.join(".")}\` \`${variable}\``),
      ...fields.map((field) => `\`retry.<class>.${field}\` \`HEADROOM_RETRY_<CLASS>_${field.toUpperCase()}\``),
    ];
    expect(told.toSorted()).toEqual(real.toSorted());
  });

  test("docs/configuration.md has the default of every key", () => {
    const parsed = parseConfig({});
    if (parsed.kind !== "valid") throw new TypeError("expected the defaults to be valid");
    const told = new Map(rows.map(([key = "", , value = ""]) => [key, /`([^`]*)`/.exec(value)?.[1]]));
    for (const { path } of configLeaves) {
      const value = path.reduce<unknown>(
        (at, part) => (at as Record<string, unknown> | undefined)?.[part],
        parsed.config,
      );
      if (value === undefined) continue;
      const key = `\`${path.join(".")}\``;
      expect([key, ...formsOf(told.get(key) ?? "")]).toContain(
        Array.isArray(value) ? value.join(",") : typeof value === "string" ? value : JSON.stringify(value),
      );
    }
  });

  test("every variable in the pages is known to the code, and every other variable of the code is told", () => {
    const named = [...commands.values()].flatMap((command) => command.options.flatMap(({ envVar }) => envVar ?? []));
    const inCode = ["cli", "platform"]
      .flatMap((folder) =>
        readdirSync(join(root, "src", folder), { recursive: true, encoding: "utf8" }).map((path) =>
          join("src", folder, path),
        ),
      )
      .filter((path) => path.endsWith(".ts"))
      .flatMap((path) => [...read(path).matchAll(/\benv\["(HEADROOM_[A-Z_]+)"\]/g)].map((match) => match[1] ?? ""));
    const other = new Set([...named, ...inCode, ...secretVariables.map(fileVariableOf)]);
    const known = new Set([...other, ...configLeaves.map(({ variable }) => variable)]);
    const told = new Set([...allText.matchAll(/\bHEADROOM_[A-Z_]*[A-Z]\b(?!_<)/g)].map(([name]) => name));
    told.delete("HEADROOM_RETRY");
    // Given to agents, and read by none of ours.
    told.delete("HEADROOM_TASK");
    // Read by the compose file alone.
    told.delete("HEADROOM_IMAGE");
    expect([...told].filter((name) => !known.has(name))).toEqual([]);
    expect([...other].filter((name) => !told.has(name))).toEqual([]);
  });

  test("every YAML block of the pages is a valid configuration or manifest, the README's first of all", () => {
    const ofModels = ["docs/inference.md", "docs/generation.md"];
    // Flow files have a test of their own.
    const others = [...ofModels, "docs/flows.md", "docs/model-plugins.md"];
    // One of a manifest, which is the example's, and one of a configuration.
    const [ofPlugins = "", ...allowing] = blocksOf(read("docs/model-plugins.md"), "yaml");
    expect(ofPlugins).toBe(read("examples/models/house-price/model.yaml"));
    const manifests = [ofPlugins, ...ofModels.flatMap((path) => blocksOf(read(path), "yaml"))];
    for (const block of manifests) expect(checkManifest(parseYaml(block)), block).toMatchObject({ kind: "valid" });
    const blocks = pages.filter((path) => !others.includes(path)).flatMap((path) => blocksOf(read(path), "yaml"));
    for (const block of [...blocks, ...allowing]) expect(parseConfig(parseYaml(block)).kind, block).toBe("valid");
    expect(blocks[0]).toContain('- "--input={input_file}"');
  });
});

/** A default as a reader writes it, and in the unit of its key. */
function formsOf(text: string): string[] {
  return [text, text.replace(/^\[\]$/, ""), String(parseSizeBytes(text))];
}

describe("pages", () => {
  test("every relative link leads somewhere", () => {
    const dead = pages.flatMap((path) =>
      linksOf(path)
        .filter((link) => !leadsSomewhere(path, link))
        .map((link) => `${path}: ${link}`),
    );
    expect(dead).toEqual([]);
  });

  test("docs/decisions/README.md lists every decision", () => {
    const listed = linksOf("docs/decisions/README.md");
    const there = readdirSync(join(root, "docs/decisions")).filter((name) => name !== "README.md");
    expect(listed.toSorted()).toEqual(there.toSorted());
  });

  test("docs/governor-scenarios.md names tests and benches that are there, by their names", () => {
    const page = read("docs/governor-scenarios.md").replaceAll(/\s+/g, " ");
    const named = [...page.matchAll(/`((?:tests|bench)\/[^`]+)`((?:,| and| "[^"]+")*)/g)];
    const missing = named.flatMap(([, path = "", titles = ""]) => {
      if (!existsSync(join(root, path))) return [path];
      const text = read(path);
      return [...titles.matchAll(/"([^"]+)"/g)].flatMap(([, title = ""]) =>
        text.includes(title) ? [] : [`${path}: ${title}`],
      );
    });
    expect(named.length).toBeGreaterThan(19);
    expect(missing).toEqual([]);
  });

  test("the two commands of the README are single lines, and CI calls exactly the second one", () => {
    const blocks = blocksOf(read("README.md"), "sh");
    expect(blocks.slice(0, 2)).toEqual(["npm ci && npm run demo\n", "npm ci && npm test\n"]);
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(["demo", "test", "prepare"]));
    const lines = read(".ci/run")
      .split("\n")
      .filter((line) => line !== "" && !/^(#|set |cd |export )/.test(line));
    expect(lines).toEqual(["npm ci && npm test"]);
  });

  test("every bench is in the README, and no other", () => {
    const told = [...read("README.md").matchAll(/npm run bench -- ([a-z-]+)/g)].map((match) => match[1]);
    const there = readdirSync(join(root, "bench")).flatMap((name) => /^([a-z-]+)\.ts$/.exec(name)?.[1] ?? []);
    expect(told.toSorted()).toEqual(there.toSorted());
  });
});

/** Targets of links and pictures that are not on the web. */
function linksOf(path: string): string[] {
  const text = read(path).replace(/^```[\s\S]*?^```$/gm, "");
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? "").filter((link) => !/^[a-z]+:/.test(link));
}

function leadsSomewhere(page: string, link: string): boolean {
  const [file = "", anchor] = link.split("#");
  const target = file === "" ? join(root, page) : resolve(root, dirname(page), file);
  if (!existsSync(target)) return false;
  if (anchor === undefined) return true;
  const titles = [...readFileSync(target, "utf8").matchAll(/^#+ (.+)$/gm)].map((match) => match[1] ?? "");
  return titles.some((title) => slugOf(title) === anchor);
}

function slugOf(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\w\- ]/g, "")
    .replaceAll(" ", "-");
}
