/** `headroom profiles`: change what jobs of a profile ask for while they wait. */
import type { Command } from "commander";
import { InvalidInputError, messageOf } from "../../contract/errors.ts";
import { parseProfileChange, profileFieldNames, type ProfileChange } from "../../contract/profile-changes.ts";
import { loadProfileChanges, resetProfiles, setProfile } from "../../platform/profile-changes.ts";
import { decideProfileFit } from "../../platform/profile-fit.ts";
import { loadLiveWorkers, type Cluster } from "../cluster.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, withCluster, type Invocation } from "../command-line.ts";
import { formatBytes } from "../format.ts";
import { printJson, say, type Io } from "../io.ts";
import { printSet, tellReset } from "../live-settings.ts";
import { parsePairs } from "../pairs.ts";
import type { PlaceOptions } from "../settings.ts";

interface Flags extends PlaceOptions {
  readonly json?: boolean;
  readonly force?: boolean;
}

export function profilesCommand(invocation: Invocation): Command {
  const { io } = invocation;
  const command = describeCommand("profiles", "show or change what jobs of a profile ask for, while they wait", [
    "headroom profiles",
    "headroom profiles set heavy memory=6GiB labels=gpu,ssd",
    "headroom profiles reset heavy",
  ]);
  const set = describeCommand("set", "set what jobs of a profile ask for; it counts over what runs declare", [
    "headroom profiles set heavy memory=6GiB",
    "headroom profiles set heavy cpu=2 labels=gpu,ssd",
  ])
    .argument("<profile>", "name of the profile; default: that of runs without one")
    .argument("<name=value...>", profileFieldNames.join(", "))
    .option("--force", "set it although no live worker could run such jobs");
  const reset = describeCommand("reset", "take back what was set", [
    "headroom profiles reset",
    "headroom profiles reset heavy",
  ]).argument("[profile]", "only what was set for this one (default: everything)");
  addPlaceOptions(addJsonOption(set)).action(
    act(invocation, async (profile: string, pairs: readonly string[], flags: Flags) => {
      const change = parseProfileChange(profile, withLists(parsePairs(pairs, "profiles set")));
      await withCluster(flags, io, (cluster) => changeProfile(cluster, io, { profile, change, flags }));
      return undefined;
    }),
  );
  addPlaceOptions(addJsonOption(reset)).action(
    act(invocation, async (profile: string | undefined, flags: Flags) => {
      const removed = await withCluster(flags, io, ({ redis, place }) => resetProfiles(redis, place.kp, profile));
      tellReset(io, { json: flags.json, what: "profile", target: profile, removed });
      return undefined;
    }),
  );
  addPlaceOptions(addJsonOption(command)).action(
    act(invocation, (flags: Flags) => withCluster(flags, io, (cluster) => show(cluster, io, flags))),
  );
  return command.addCommand(set).addCommand(reset);
}

async function changeProfile(
  cluster: Cluster,
  io: Io,
  { profile, change, flags }: { profile: string; change: ProfileChange; flags: Flags },
): Promise<void> {
  const { redis, place } = cluster;
  const [workers, known] = await Promise.all([loadLiveWorkers(cluster), loadProfileChanges(redis, place.kp)]);
  const faults = decideProfileFit({ ...known.get(profile), ...change }, workers);
  if (faults.length > 0 && flags.force !== true) throw new InvalidInputError(`profile ${profile}`, faults);
  const next = await setProfile(redis, place.kp, { profile, change });
  if (flags.json === true) printJson(io, { profile, set: next });
  else say(io, `set for ${profile}: ${profileText(next)}`);
  for (const { where, expected, found } of faults) say(io, `${where}: expected ${expected}, found ${found}`);
  if (workers.length === 0) say(io, "no worker is alive that could say whether it can run such jobs");
}

async function show(cluster: Cluster, io: Io, flags: Flags): Promise<undefined> {
  const { redis, place } = cluster;
  const known = await loadProfileChanges(redis, place.kp, (profile, error) => {
    say(io, `what was set for ${profile} cannot be read and is left out: ${messageOf(error)}`);
  });
  if (flags.json === true) {
    printJson(io, { set: Object.fromEntries(known) });
    return;
  }
  const rows = [...known].map(([profile, change]) => [profile, profileText(change)]);
  printSet(io, { head: ["PROFILE", "SET"], rows, nothing: "nothing is set: jobs ask for what their runs declare" });
}

/** What was set, as people write it. */
function profileText({ memory, gpu_memory: gpu, cpu, labels }: ProfileChange): string {
  return [
    ...(memory === undefined ? [] : [`memory=${formatBytes(memory)}`]),
    ...(gpu === undefined ? [] : [`gpu_memory=${formatBytes(gpu)}`]),
    ...(cpu === undefined ? [] : [`cpu=${cpu}`]),
    ...(labels === undefined ? [] : [`labels=${labels.join(",")}`]),
  ].join(" ");
}

/** `labels=gpu,ssd`, and none for `labels=`. */
function withLists(values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { labels, ...others } = values;
  if (labels === null) return { ...others, labels: [] };
  return typeof labels === "string" ? { ...others, labels: labels.split(",") } : values;
}
