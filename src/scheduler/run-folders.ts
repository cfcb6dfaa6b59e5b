/**
 * Removes the folders of flows' runs that have ended, by age and by the room that they take. A folder is this: a directory
 * whose name ends with the id of its run, where the store says that its artifacts went; nothing else is touched.
 *
 * It is put aside under another name first, in one step. A run that was resumed in that moment gets it back. What a crash
 * leaves aside is removed by the next round.
 */
import { lstatSync, readdirSync, renameSync, rmSync, type Stats } from "node:fs";
import { basename, dirname, join } from "node:path";
import { isTerminal, runStates } from "../contract/outcomes.ts";
import { fsPath, pathFromBytes } from "../contract/path-bytes.ts";
import type { Retention } from "../contract/retention.ts";
import type { RunRecord } from "../contract/run-record.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Store } from "../store/store.ts";
import type { Term } from "./term.ts";

export interface RunFoldersDeps {
  readonly store: Pick<Store, "runs">;
  readonly clock: Pick<Clock, "nowMs">;
  readonly logger: Logger;
  readonly term: Pick<Term, "require">;
}

export interface EndedFolder {
  readonly runId: string;
  readonly folder: string;
  readonly endedAtMs: number;
  readonly bytes: number;
}

const DAY_MS = 86_400_000;
const RUNS_AT_ONCE = 200;
const endedStates = runStates.filter(isTerminal);

/** Which of these go: those that are too old, and of the others the oldest until the rest takes no more than is allowed. */
export function decideFolders(folders: readonly EndedFolder[], rules: Retention, nowMs: number): EndedFolder[] {
  const { folder_days: days = Infinity, folder_max: most = Infinity } = rules;
  const oldestFirst = folders.toSorted((a, b) => a.endedAtMs - b.endedAtMs);
  let left = oldestFirst.reduce((sum, { bytes }) => sum + bytes, 0);
  return oldestFirst.filter(({ endedAtMs, bytes }) => {
    const goes = nowMs - endedAtMs > days * DAY_MS || left > most;
    if (goes) left -= bytes;
    return goes;
  });
}

/** One round over all ended runs; the folders that were removed. */
export async function sweepRunFolders(deps: RunFoldersDeps, rules: Retention): Promise<readonly EndedFolder[]> {
  if (rules.folder_days === undefined && rules.folder_max === undefined) return [];
  const found: EndedFolder[] = [];
  for await (const run of endedFlows(deps)) {
    const folder = folderOf(run);
    if (folder === undefined) continue;
    rmSync(fsPath(asideOf(folder)), { recursive: true, force: true });
    const stat = statOf(folder);
    if (stat?.isDirectory() !== true) continue;
    found.push({ runId: run.id, folder, endedAtMs: run.endedAtMs ?? 0, bytes: sizeOf(folder) });
  }
  const removed: EndedFolder[] = [];
  for (const one of decideFolders(found, rules, deps.clock.nowMs())) {
    deps.term.require();
    if (await remove(deps, one)) removed.push(one);
  }
  return removed;
}

async function* endedFlows({ store, term }: RunFoldersDeps): AsyncGenerator<RunRecord> {
  let before: string | undefined;
  for (;;) {
    term.require();
    const query = { limit: RUNS_AT_ONCE, states: endedStates };
    const page = await store.runs.list({ ...query, ...(before !== undefined && { before }) });
    for (const run of page) if (run.spec.executor === "flow" && run.spec.parent === undefined) yield run;
    before = page.at(-1)?.id;
    if (before === undefined || page.length < RUNS_AT_ONCE) return;
  }
}

/** The folder that was made for this run alone, in which its artifacts lie; undefined for one whose output went elsewhere. */
function folderOf({ id, spec }: Pick<RunRecord, "id" | "spec">): string | undefined {
  const folder = dirname(spec.output.root);
  const name = basename(folder);
  return folder.startsWith("/") && (name === id || name.endsWith(`-${id}`)) ? folder : undefined;
}

function asideOf(folder: string): string {
  return join(dirname(folder), `.${basename(folder)}.removed`);
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(fsPath(path), { throwIfNoEntry: false });
  } catch (error) {
    // Above it, something is no directory any more, or may not be looked into.
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOTDIR" || code === "EACCES") return undefined;
    throw error;
  }
}

/** Bytes of the files below a folder; links count as themselves. */
function sizeOf(folder: string): number {
  let bytes = 0;
  const open = [folder];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (const entry of readdirSync(fsPath(at), { withFileTypes: true, encoding: "buffer" })) {
      const path = join(at, pathFromBytes(entry.name));
      if (entry.isDirectory()) open.push(path);
      else bytes += statOf(path)?.size ?? 0;
    }
  }
  return bytes;
}

async function remove({ store, logger }: RunFoldersDeps, { runId, folder, bytes }: EndedFolder): Promise<boolean> {
  const aside = asideOf(folder);
  try {
    renameSync(fsPath(folder), fsPath(aside));
    const run = await store.runs.get(runId);
    if (run !== undefined && !isTerminal(run.state)) {
      renameSync(fsPath(aside), fsPath(folder));
      return false;
    }
    rmSync(fsPath(aside), { recursive: true, force: true });
    logger.info({ runId, folder, bytes }, "folder of an ended run removed");
    return true;
  } catch (error) {
    // A folder that cannot be removed must not keep the others.
    logger.warn({ err: error, runId, folder }, "folder of an ended run could not be removed");
    return false;
  }
}
