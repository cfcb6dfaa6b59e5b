/**
 * Reads one folder in pages, so that a folder of any size needs the memory of one page. Names are read as UTF-8; only a
 * folder in which U+FFFD turned up is read a second time as bytes, for those names alone.
 */
import { opendirSync, type Dir, type Dirent } from "node:fs";
import { opendir } from "node:fs/promises";
import { fsPath, pathFromBytes } from "../../contract/path-bytes.ts";

const PAGE_ENTRIES = 256;
const REPLACEMENT = "\ufffd";

export type EntryKind = "file" | "folder" | "link" | "special" | "unknown";
export interface FolderEntry {
  readonly name: string;
  readonly kind: EntryKind;
}

export class Folder {
  readonly #path: string;
  #dir: Dir;
  #pass: "text" | "bytes" = "text";
  #hasUndecoded = false;

  private constructor(path: string, dir: Dir) {
    this.#path = path;
    this.#dir = dir;
  }

  /** Opens a folder; without `isSlow` the call is made synchronously. The caller closes. */
  static async open(path: string, isSlow: boolean): Promise<Folder> {
    return new Folder(path, await openDir(path, "utf8", isSlow));
  }

  /** The next entries, or undefined after the last one. */
  async nextPage(isSlow: boolean): Promise<FolderEntry[] | undefined> {
    // The asynchronous call fills the buffer of the folder; the synchronous ones empty it without touching the disk.
    let entry = isSlow ? await this.#dir.read() : this.#dir.readSync();
    if (entry === null) return await this.#secondPass(isSlow);
    const page: FolderEntry[] = [];
    for (let count = 1; entry !== null; count += 1) {
      const name = this.#nameOf(entry);
      if (name !== undefined) page.push({ name, kind: kindOf(entry) });
      if (count >= PAGE_ENTRIES) break;
      entry = this.#dir.readSync();
    }
    return page;
  }

  close(): void {
    try {
      this.#dir.closeSync();
    } catch {
      // Closed already by an error of the folder itself; there is nothing left to release.
    }
  }

  async #secondPass(isSlow: boolean): Promise<FolderEntry[] | undefined> {
    if (this.#pass === "bytes" || !this.#hasUndecoded) return undefined;
    const dir = await openDir(this.#path, "buffer", isSlow);
    this.close();
    this.#dir = dir;
    this.#pass = "bytes";
    return [];
  }

  /** The name if this pass is the one to report it. */
  #nameOf(entry: Dirent): string | undefined {
    // The types know no folder that is read as bytes.
    const raw: unknown = entry.name;
    if (typeof raw === "string") {
      if (!raw.includes(REPLACEMENT)) return raw;
      this.#hasUndecoded = true;
      return undefined;
    }
    if (!(raw instanceof Uint8Array)) return undefined;
    return Buffer.from(raw).toString("utf8").includes(REPLACEMENT) ? pathFromBytes(raw) : undefined;
  }
}

async function openDir(path: string, encoding: "utf8" | "buffer", isSlow: boolean): Promise<Dir> {
  // Node takes "buffer" here, which its types leave out.
  const options = { encoding: encoding as BufferEncoding, bufferSize: PAGE_ENTRIES };
  const name = fsPath(path);
  return isSlow ? await opendir(name, options) : opendirSync(name, options);
}

function kindOf(entry: Dirent): EntryKind {
  if (entry.isFile()) return "file";
  if (entry.isDirectory()) return "folder";
  if (entry.isSymbolicLink()) return "link";
  if (entry.isFIFO() || entry.isSocket() || entry.isBlockDevice() || entry.isCharacterDevice()) return "special";
  return "unknown";
}
