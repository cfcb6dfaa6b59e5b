/** Gives a job back while the disk of its run's outputs has no room. */
import type { FileEntry } from "../../contract/files.ts";
import type { RoomWait } from "../../contract/status.ts";
import type { Clock } from "../../platform/clock.ts";
import type { LiveRun, RunHash } from "../../platform/run-hash.ts";
import { HandBack } from "../lane.ts";
import { ROOM_PAUSE_MS } from "../result/recorder.ts";
import { findShortage } from "../result/room.ts";

export interface RoomWaitDeps {
  readonly hash: RunHash;
  readonly clock: Clock;
  onNoRoom(): void;
}

/** Returns when there is room for these files, or for anything at all. @throws {HandBack} after it has said so to who asks */
export async function waitForRoom(deps: RoomWaitDeps, run: LiveRun, files: readonly FileEntry[]): Promise<void> {
  const { root, from } = run.spec.output;
  if (from === "none" || run.spec.executor !== "process") return;
  const shortage = await findShortage(root, files);
  if (shortage === undefined) return;
  await deps.hash.set(run, {
    room: JSON.stringify({ ...shortage, atMs: deps.clock.nowMs() } satisfies RoomWait),
  });
  deps.onNoRoom();
  throw new HandBack(`no room on the disk of ${root}`, ROOM_PAUSE_MS);
}
