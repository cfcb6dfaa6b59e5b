/** `headroom rules`: change the settings of capacity rules while workers run. */
import { Option, type Command } from "commander";
import { InvalidInputError } from "../../contract/errors.ts";
import {
  loadRuleSettings,
  resetRuleSettings,
  setRuleSettings,
  type RuleSettings,
} from "../../platform/rule-settings.ts";
import type { Cluster } from "../cluster.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, withCluster, type Invocation } from "../command-line.ts";
import { printJson, say, type Io } from "../io.ts";
import { printSet, tellReset } from "../live-settings.ts";
import { parsePairs } from "../pairs.ts";
import { loadServiceConfig } from "../services.ts";
import type { PlaceOptions } from "../settings.ts";

interface Flags extends PlaceOptions {
  readonly json?: boolean;
  readonly config?: string;
}

export function rulesCommand(invocation: Invocation): Command {
  const { io } = invocation;
  const command = describeCommand("rules", "show or change settings of capacity rules, while workers run", [
    "headroom rules",
    "headroom rules set licence-tokens tokens=4",
    "headroom rules reset licence-tokens",
  ]);
  const set = describeCommand("set", "set settings of a rule; they count over the configuration of each worker", [
    "headroom rules set licence-tokens tokens=4",
  ])
    .argument("<rule>", "name of the rule")
    .argument("<name=value...>", "settings of the rule, each value as in YAML")
    .addOption(new Option("-c, --config <file>", "configuration that names the rule, by which settings are checked"));
  const reset = describeCommand("reset", "take back what was set", [
    "headroom rules reset",
    "headroom rules reset licence-tokens",
  ]).argument("[rule]", "only what was set for this one (default: everything)");
  addPlaceOptions(addJsonOption(set)).action(
    act(invocation, async (rule: string, pairs: readonly string[], flags: Flags) => {
      const settings = parsePairs(pairs, "rules set");
      await withCluster(flags, io, (cluster) => changeRule(cluster, io, { rule, settings, flags }));
      return undefined;
    }),
  );
  addPlaceOptions(addJsonOption(reset)).action(
    act(invocation, async (rule: string | undefined, flags: Flags) => {
      const removed = await withCluster(flags, io, ({ redis, place }) => resetRuleSettings(redis, place.kp, rule));
      tellReset(io, { json: flags.json, what: "rule", target: rule, removed });
      return undefined;
    }),
  );
  addPlaceOptions(addJsonOption(command)).action(
    act(invocation, (flags: Flags) => withCluster(flags, io, (cluster) => show(cluster, io, flags))),
  );
  return command.addCommand(set).addCommand(reset);
}

async function changeRule(
  cluster: Cluster,
  io: Io,
  { rule, settings, flags }: { rule: string; settings: RuleSettings; flags: Flags },
): Promise<void> {
  const { redis, place } = cluster;
  const next = { ...(await loadRuleSettings(depsOf(cluster))).get(rule), ...settings };
  await checkSettings(io, { rule, settings: next, flags });
  await setRuleSettings(redis, place.kp, rule, next);
  if (flags.json === true) printJson(io, { rule, set: next });
  else say(io, `set for ${rule}: ${settingsText(next)}`);
}

/** The plugin itself says whether it takes them: as this machine's configuration names it. */
async function checkSettings(
  io: Io,
  { rule, settings, flags }: { rule: string; settings: RuleSettings; flags: Flags },
): Promise<void> {
  const { governor } = loadServiceConfig(flags, io);
  // Loaded when it is needed: no other command has to know of plugins.
  const { loadPlugins } = await import("../../worker/governor/plugins.ts");
  const { tunable } = await loadPlugins({ probes: [], rules: governor.rules });
  const known = tunable.get(rule);
  if (known !== undefined) {
    known.tune(settings);
    return;
  }
  const names = [...tunable.keys()].join(", ") || "none";
  const expected = `a rule that the configuration names (governor.rules): ${names}`;
  throw new InvalidInputError("command line", [{ where: "rules set", expected, found: JSON.stringify(rule) }]);
}

async function show(cluster: Cluster, io: Io, flags: Flags): Promise<undefined> {
  const known = await loadRuleSettings(depsOf(cluster));
  if (flags.json === true) {
    printJson(io, { set: Object.fromEntries(known) });
    return;
  }
  const rows = [...known].map(([rule, settings]) => [rule, settingsText(settings)]);
  printSet(io, { head: ["RULE", "SET"], rows, nothing: "nothing is set: each worker keeps to its own configuration" });
}

function settingsText(settings: RuleSettings): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");
}

function depsOf({ redis, place, logger }: Cluster) {
  return { redis, kp: place.kp, logger };
}
