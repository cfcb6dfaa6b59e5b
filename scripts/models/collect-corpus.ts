/**
 * Gathers the heads of real files for the classifier, of packages whose licences allow to pass them on, into
 * `file-kind/corpus.jsonl.gz`, beside what is there. Run by hand, with folders to look in; the classifier is trained from
 * that file alone.
 *
 *     node --import ./scripts/ts-loader.js scripts/models/collect-corpus.ts NAME=FOLDER…
 */
import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { basename, extname, join, relative } from "node:path";
import { isHeldOut, loadCorpus, saveCorpus, type Sample } from "./file-kind/corpus.ts";
import { WINDOW_BYTES, type FileKind } from "./file-kind/kinds.ts";

const kindOfExtension = new Map<string, FileKind>([
  [".js", "javascript"],
  [".mjs", "javascript"],
  [".cjs", "javascript"],
  [".ts", "typescript"],
  [".mts", "typescript"],
  [".py", "python"],
  [".c", "c"],
  [".h", "c"],
  [".json", "json"],
  [".yml", "yaml"],
  [".yaml", "yaml"],
  [".csv", "csv"],
  [".html", "html"],
  [".css", "css"],
  [".md", "markdown"],
  [".sql", "sql"],
  [".sh", "shell"],
  [".txt", "prose"],
]);

const MIN_BYTES = 160;
const MOST_PER_GROUP = 10;
const MOST_LEARNED = 900;
const MOST_HELD_OUT = 150;
const PROSE_LETTERS = 0.85;
const permissive = /^\(?(?:MIT|ISC|BSD|Apache|0BSD|CC0|Unlicense|Python|PSF|BlueOak|PostgreSQL)/i;

/** The licence of an npm package; undefined for other folders, whose licence is checked by who names them. */
function licenceOf(folder: string): string | undefined {
  const manifest = join(folder, "package.json");
  if (!existsSync(manifest)) return undefined;
  const { license } = JSON.parse(readFileSync(manifest, "utf8")) as { license?: unknown };
  return typeof license === "string" ? license : "";
}

function headOf(path: string): Buffer {
  const buffer = Buffer.alloc(WINDOW_BYTES);
  const fd = openSync(path, "r");
  try {
    return buffer.subarray(0, readSync(fd, buffer, 0, WINDOW_BYTES, 0));
  } finally {
    closeSync(fd);
  }
}

function kindOf(path: string, head: Buffer): FileKind | undefined {
  const text = head.toString("latin1");
  if (extname(path) === "" && /^#!.*\b(?:ba|da)?sh\b/.test(text)) return "shell";
  // Sources of a manual, which are in a language of their own.
  if (path.endsWith(".rst.txt")) return undefined;
  const kind = kindOfExtension.get(extname(path));
  if (kind !== "prose") return kind;
  // Lists of requirements and tables of numbers are called .txt as well.
  const letters = text.replaceAll(/[^A-Za-z ,.'\n]/g, "").length;
  return letters / text.length >= PROSE_LETTERS && / \w+ \w+ \w+ \w+ /.test(text) ? kind : undefined;
}

interface Source {
  readonly name: string;
  readonly root: string;
}

/** Hidden folders hold caches, which are another thing on every machine; other people's packages are named by themselves. */
function isWalked(folder: string): boolean {
  return folder !== "site-packages" && !folder.startsWith(".");
}

/** Groups are packages where there are any, folders of the second level otherwise. */
function* filesOf(
  { name, root }: Source,
  folder = root,
  group = name,
): Generator<readonly [path: string, group: string]> {
  const licence = licenceOf(folder);
  if (licence !== undefined && folder !== root && !permissive.test(licence)) return;
  const place = relative(root, folder);
  const own = licence !== undefined || place.split("/").length <= 2 ? join(name, place) : group;
  const entries = readdirSync(folder, { withFileTypes: true }).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (isWalked(entry.name)) yield* filesOf({ name, root }, path, own);
    } else if (entry.isFile()) yield [path, groupOf(path, own)];
  }
}

/** All of PostgreSQL's extensions lie in one folder: `hstore--1.4.sql` is of hstore. So do the speeches of all presidents. */
function groupOf(path: string, group: string): string {
  const name = basename(path);
  if (extname(path) === ".sql") return join(group, name.replace(/(?:--|\.).*$/, ""));
  return extname(path) === ".txt" ? join(group, name.replace(/\.txt$/, "").replaceAll(/\d+_?|_n$/g, "")) : group;
}

/** The same order on every machine, and no order of names: what a limit cuts off is by chance. */
function shuffled<T extends { readonly path: string }>(items: readonly T[]): T[] {
  const key = ({ path }: T) => createHash("sha256").update(path).digest("hex");
  return items.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}

function collect(sources: readonly Source[]): Sample[] {
  const found = loadCorpus();
  const seen = new Set(found.map(({ head }) => head));
  for (const source of sources) {
    for (const [path, group] of filesOf(source)) {
      const head = headOf(path);
      const kind = head.length < MIN_BYTES || head.includes(0) ? undefined : kindOf(path, head);
      const text = head.toString("latin1");
      if (kind === undefined || seen.has(text)) continue;
      seen.add(text);
      found.push({ kind, group, path: join(source.name, relative(source.root, path)), head: text });
    }
  }
  return found;
}

/** A bounded share of each group and of each kind: a thousand files of one package teach little. */
function select(found: readonly Sample[]): Sample[] {
  const counts = new Map<string, number>();
  const isBelow = (key: string, limit: number) => {
    const count = (counts.get(key) ?? 0) + 1;
    if (count > limit) return false;
    counts.set(key, count);
    return true;
  };
  return shuffled(found).filter(({ kind, group }) => {
    const isTest = isHeldOut(group);
    const most = isTest ? MOST_HELD_OUT : MOST_LEARNED;
    return isBelow(`${kind} ${group}`, MOST_PER_GROUP) && isBelow(`${kind} ${isTest}`, most);
  });
}

const sources = process.argv.slice(2).map((argument) => {
  const [name = "", root = ""] = argument.split("=");
  return { name, root };
});
const samples = select(collect(sources));
saveCorpus(samples);
const counts = new Map<string, [learned: number, heldOut: number]>();
for (const { kind, group } of samples) {
  const count = counts.get(kind) ?? [0, 0];
  count[isHeldOut(group) ? 1 : 0]++;
  counts.set(kind, count);
}
process.stdout.write(`${JSON.stringify({ samples: samples.length, ...Object.fromEntries(counts) })}\n`);
