/** Where an output goes: the target inside the output root, and the temporary name beside it. */
import { posix } from "node:path";
import { InvalidInputError, lineOf, PathEscapeError } from "../../contract/errors.ts";
import type { FileEntry } from "../../contract/files.ts";
import { isInside } from "../../contract/inside.ts";
import { outputNameFor } from "../../contract/output-names.ts";
import type { RunSpec } from "../../contract/run-spec.ts";
import { realPathOf } from "../../platform/confined-path.ts";
import { makeFolders } from "../../platform/make-folders.ts";
import { holderBelow } from "../../platform/output-claim.ts";
import { errnoOf } from "./errno.ts";
import { isFullErrno, type Failure } from "./outcome.ts";

export interface Target {
  /** Relative to the output root. */
  readonly relative: string;
  readonly path: string;
  /** The folder of the target, absolute. */
  readonly folder: string;
  readonly temp: string;
  readonly tempRelative: string;
}

/** What follows the temporary name of an output, of what goes with it. */
const BESIDE = "-beside";

/** What every temporary file of a run begins with. */
export function tempPrefix(runId: string): string {
  return `.headroom-${safe(runId)}-`;
}

export function tempName(runId: string, index: number, token: string): string {
  return `${tempPrefix(runId)}${index}-${safe(token)}.tmp`;
}

/** Tokens come from elsewhere and must not become parts of a path, nor make a name too long. Their ends tell them apart. */
function safe(text: string): string {
  return text.replace(/[^A-Za-z0-9_-]/g, "_").slice(-80);
}

/** Makes the targets of one attempt at a chunk; folders are made and checked once. */
export class TargetPlan {
  readonly #spec: RunSpec;
  readonly #place: { readonly runId: string; readonly token: string };
  readonly #root: string;
  readonly #folders = new Map<string, string>();
  readonly #holders = new Map<string, string | undefined>();
  readonly #taken = new Map<string, number>();

  constructor(spec: RunSpec, place: { runId: string; token: string }) {
    this.#spec = spec;
    this.#place = place;
    this.#root = spec.output.root.replace(/\/+$/, "") || "/";
  }

  /** The target's path relative to the output root, or why there is none. Touches nothing. */
  relativeOf({ path, index }: Pick<FileEntry, "path" | "index">): string | Failure {
    try {
      return outputNameFor(this.#spec, path, index, this.#place.runId);
    } catch (error) {
      if (error instanceof PathEscapeError) return { class: "policy", message: error.message };
      if (error instanceof InvalidInputError) return { class: "bad-input", message: lineOf(error) };
      throw error;
    }
  }

  absolute(relative: string): string {
    return this.#root === "/" ? `/${relative}` : `${this.#root}/${relative}`;
  }

  /** Claims the target for one file, and makes its folder. */
  claim(relative: string, index: number): Target | Failure {
    const owner = this.#taken.get(relative);
    if (owner !== undefined && owner !== index) {
      return {
        class: "bad-input",
        message: `expected an output name of its own, found ${JSON.stringify(relative)}, which input number ${owner} has already`,
      };
    }
    const path = this.absolute(relative);
    const folder = posix.dirname(path);
    try {
      if (!isInside(this.realFolder(this.#root), this.realFolder(folder))) return leaves();
      const holder = this.#holderOf(folder);
      if (holder !== undefined) return isHeld(folder, holder);
    } catch (error) {
      const errno = errnoOf(error);
      const message = `could not make the output folder: ${errno}`;
      return { class: "infrastructure", message, ...(isFullErrno(errno) && { isDiskFull: true }) };
    }
    this.#taken.set(relative, index);
    const name = tempName(this.#place.runId, index, this.#place.token);
    const relativeFolder = posix.dirname(relative);
    const tempRelative = relativeFolder === "." ? name : `${relativeFolder}/${name}`;
    return { relative, path, folder, temp: `${folder}/${name}`, tempRelative };
  }

  /** A file that goes with a claimed one, under this name in the same folder. */
  beside({ folder, path, relative, temp, tempRelative }: Target, name: string): Target | Failure {
    const other = { folder, path: `${folder}/${name}`, relative: posix.join(posix.dirname(relative), name) };
    if (other.path === path) {
      const message = `expected an output name other than that of the transcript, found ${JSON.stringify(relative)} for both`;
      return { class: "bad-input", message };
    }
    return { ...other, temp: `${temp}${BESIDE}`, tempRelative: `${tempRelative}${BESIDE}` };
  }

  /** Another run that has claimed a folder on the way to this one, as an output folder of its own. */
  #holderOf(folder: string): string | undefined {
    if (this.#holders.has(folder)) return this.#holders.get(folder);
    const holder = holderBelow(this.realFolder(this.#root), this.realFolder(folder));
    this.#holders.set(folder, holder);
    return holder;
  }

  /** The folder without links; it is made when it is not there, unless that would happen outside the root. */
  realFolder(folder: string): string {
    let real = this.#folders.get(folder);
    if (real === undefined) {
      real = realPathOf(folder);
      if (isInside(realPathOf(this.#root), real)) makeFolders(folder, 0o777);
      this.#folders.set(folder, real);
    }
    return real;
  }
}

function isHeld(folder: string, runId: string): Failure {
  const message = `expected a folder that no other run writes to, found ${folder}, the output folder of run ${runId}`;
  return { class: "policy", message };
}

function leaves(): Failure {
  return { class: "policy", message: "expected an output inside the output folder, found a name that leads out of it" };
}
