/** Reads a flow file with the flow files that it names, and says in which line each fault stands. */
import { basename, dirname, join, resolve } from "node:path";
import { messageOf, type Fault } from "../../contract/errors.ts";
import { checkFlow, MAX_FLOW_DEPTH, nestedPath, type CheckedFlow, type FlowFault } from "../../contract/flow-check.ts";
import { field } from "../../contract/schema-faults.ts";
import { openConfined } from "../confined-path.ts";
import { readYaml, valueOf, type YamlValue } from "../yaml-text.ts";

export type LoadedFlow =
  | { readonly kind: "valid"; readonly flow: CheckedFlow }
  | { readonly kind: "faulty"; readonly faults: readonly Fault[] };

/** Twenty thousand nodes fit; what is larger is no flow file. */
const MAX_FILE_BYTES = 8_388_608;
const MAX_FILES = 1_000;
const MAX_ALL_BYTES = 33_554_432;

/**
 * Reads and checks the flow of a file. Files that it names must lie below its folder, links included. Faults call it `shown`.
 * `profiles`: the names of all that are declared, where that is known.
 */
export async function loadFlowFile(path: string, shown = path, profiles?: readonly string[]): Promise<LoadedFlow> {
  const absolute = resolve(path);
  const folder = new FlowFolder(dirname(absolute));
  const outermost = basename(absolute);
  await folder.read(outermost, shown, 1);
  const main = folder.documents.get(outermost);
  if (main?.value === undefined) return { kind: "faulty", faults: folder.faults };
  const written = Object.fromEntries([...folder.documents].map(([name, { value }]) => [name, value]));
  const checked = checkFlow(main.value, written, outermost, profiles);
  if (checked.kind === "valid" && folder.faults.length === 0) return checked;
  const found = checked.kind === "valid" ? [] : checked.faults.filter((fault) => !folder.isTold(fault));
  return {
    kind: "faulty",
    faults: [...folder.faults, ...found.map((fault) => folder.withLine(fault, shown, outermost))],
  };
}

/** The files below the folder of the outermost one. */
class FlowFolder {
  readonly documents = new Map<string, YamlValue>();
  readonly faults: Fault[] = [];
  readonly #folder: string;
  readonly #unreadable = new Set<string>();
  #bytes = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Reads a file and those that it names; what they mean is checked when all are there. */
  async read(name: string, shown: string, depth: number): Promise<void> {
    if (this.documents.has(name) || this.#unreadable.has(name) || depth > MAX_FLOW_DEPTH + 1) return;
    const text = await this.#text(name, shown);
    if (text === undefined) return;
    const read = readYaml(text, shown);
    const document = read.kind === "read" ? valueOf(read, shown) : read.value;
    this.faults.push(...document.faults);
    if (document.faults.length > 0) this.#unreadable.add(name);
    this.documents.set(name, document);
    for (const below of namedIn(document.value)) {
      const path = nestedPath(name, below);
      if (path !== undefined) await this.read(path, join(dirname(shown), path), depth + 1);
    }
  }

  /** Whether a fault only repeats that a file could not be read. */
  isTold({ file, path, found }: FlowFault): boolean {
    if (this.#unreadable.has(file)) return true;
    return path.at(-1) === "file" && [...this.#unreadable].some((name) => found === `nothing at ${name}`);
  }

  withLine({ file, path, where, expected, found }: FlowFault, shown: string, outermost: string): Fault {
    const line = this.documents.get(file === "" ? outermost : file)?.lineOf(path);
    const name = file === "" ? shown : join(dirname(shown), file);
    const place = file === "" ? where : where.slice(file.length + 2);
    return { where: `${line === undefined ? name : `${name}:${line}`}: ${place}`, expected, found };
  }

  async #text(name: string, shown: string): Promise<string | undefined> {
    try {
      await using handle = closing(await openConfined(this.#folder, name));
      const { size } = await handle.file.stat();
      this.#bytes += size;
      const isTooMuch = this.#bytes > MAX_ALL_BYTES || this.documents.size >= MAX_FILES;
      if (size <= MAX_FILE_BYTES && !isTooMuch) return await handle.file.readFile("utf8");
      const expected = isTooMuch
        ? `${MAX_FILES} flow files of ${MAX_ALL_BYTES} bytes together at most`
        : `${MAX_FILE_BYTES} bytes at most`;
      this.#refuse(name, { where: shown, expected, found: isTooMuch ? "more" : `${size} bytes` });
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      const found = code === "ENOENT" ? "nothing there" : messageOf(error);
      this.#refuse(name, { where: shown, expected: "a flow file that can be read", found });
    }
    return undefined;
  }

  #refuse(name: string, fault: Fault): void {
    this.#unreadable.add(name);
    this.faults.push(fault);
  }
}

interface ClosingFile extends AsyncDisposable {
  readonly file: Awaited<ReturnType<typeof openConfined>>;
}

function closing(file: ClosingFile["file"]): ClosingFile {
  return { file, [Symbol.asyncDispose]: () => file.close() };
}

/** The flow files that a flow names, as it is written. */
function namedIn(written: unknown): string[] {
  const nodes = field(written, "nodes");
  if (!Array.isArray(nodes)) return [];
  return (nodes as unknown[]).flatMap((node) => {
    const file = field(node, "kind") === "flow" ? field(node, "file") : undefined;
    return typeof file === "string" ? [file] : [];
  });
}
