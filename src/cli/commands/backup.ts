/** `headroom backup` and `headroom restore`: the store and the keys in Redis, to a folder and back. */
import type { Command } from "commander";
import { resolveFrom } from "../../platform/current-folder.ts";
import { startEmbeddedRedis } from "../../platform/embedded-redis.ts";
import type { BackupPage } from "../backup/backup-folder.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, withCluster, type Invocation } from "../command-line.ts";
import { formatBytes, plural } from "../format.ts";
import { print, printJson, type Io } from "../io.ts";
import { openLogFile } from "../log-file.ts";
import { logLevelOf, openPlace, type PlaceOptions } from "../settings.ts";

interface BackupFlags extends PlaceOptions {
  readonly to: string;
  readonly json?: boolean;
}

interface RestoreFlags extends PlaceOptions {
  readonly from: string;
  readonly json?: boolean;
}

export function backupCommand(invocation: Invocation): Command {
  const command = describeCommand("backup", "copy the store and Redis to a folder, while the cluster works", [
    "headroom backup --to /backups/monday",
    "headroom backup --redis redis://queue:6379 --store postgres://db/headroom --to /backups/monday",
  ]).requiredOption("--to <folder>", "an empty folder, or one that is made");
  return addPlaceOptions(addJsonOption(command)).action(
    act(invocation, async (flags: BackupFlags) => {
      const { io } = invocation;
      const folder = resolveFrom(io.cwd, flags.to);
      const { writeBackup } = await import("../backup/backup-folder.ts");
      const page = await withCluster(flags, io, (cluster) => writeBackup(cluster, folder));
      tell(io, { page, folder, isJson: flags.json === true, verb: "written to" });
      return undefined;
    }),
  );
}

export function restoreCommand(invocation: Invocation): Command {
  const command = describeCommand("restore", "fill an empty store and an empty Redis from a backup", [
    "headroom restore --from /backups/monday",
    "headroom restore --redis redis://queue:6379 --store postgres://db/headroom --from /backups/monday",
  ]).requiredOption("--from <folder>", "that headroom backup wrote");
  return addPlaceOptions(addJsonOption(command)).action(
    act(invocation, async (flags: RestoreFlags) => {
      const { io } = invocation;
      const folder = resolveFrom(io.cwd, flags.from);
      const page = await restore(folder, flags, io);
      tell(io, { page, folder, isJson: flags.json === true, verb: "restored from" });
      return undefined;
    }),
  );
}

/** Opens nothing of the cluster but what is filled: a client would begin to use it. */
async function restore(folder: string, flags: RestoreFlags, io: Io): Promise<BackupPage> {
  const { readBackup } = await import("../backup/backup-folder.ts");
  const place = openPlace(flags, io);
  const log = openLogFile(place.home, logLevelOf(io.env), { process: "restore" });
  const { logger } = log;
  const embedded =
    place.redisUrl === undefined ? await startEmbeddedRedis({ home: place.home, logger, env: io.env }) : undefined;
  try {
    return await readBackup(folder, { ...place, redisUrl: place.redisUrl ?? embedded?.url ?? "" }, logger);
  } finally {
    await embedded?.stop();
    log.flush();
  }
}

interface Told {
  readonly page: BackupPage;
  readonly folder: string;
  readonly isJson: boolean;
  readonly verb: string;
}

function tell(io: Io, { page, folder, isJson, verb }: Told): void {
  if (isJson) {
    printJson(io, { folder, ...page });
    return;
  }
  const keys = `${plural(page.redis.keys, "key")} (${formatBytes(page.redis.bytes)})`;
  print(io, `${keys} and a store of ${formatBytes(page.store.bytes)} ${verb} ${folder}`);
}
