/** Where settings of capacity rules that were set while workers run are kept, and how workers are told of a change. */
import type { Redis } from "ioredis";
import { z } from "zod";
import { messageOf } from "../contract/errors.ts";
import { keys } from "../contract/queues.ts";
import { publishControl } from "./control.ts";
import type { LimitsDeps } from "./limits.ts";

const ruleSettings = z.record(z.string(), z.unknown());
/** What is put over the configured settings of a rule; the plugin checks it. */
export type RuleSettings = Readonly<z.output<typeof ruleSettings>>;

/** What is set, by name of the rule. An entry that cannot be read is logged and left out. */
export async function loadRuleSettings({ redis, kp, logger }: LimitsDeps): Promise<ReadonlyMap<string, RuleSettings>> {
  const known = new Map<string, RuleSettings>();
  for (const [rule, text] of Object.entries(await redis.hgetall(keys.rules(kp)))) {
    try {
      known.set(rule, ruleSettings.parse(JSON.parse(text)));
    } catch (error) {
      logger.warn({ rule, reason: messageOf(error) }, "settings of a rule that were set cannot be read, left out");
    }
  }
  return known;
}

/** Sets what is put over the configured settings of a rule. */
export async function setRuleSettings(redis: Redis, kp: string, rule: string, settings: RuleSettings): Promise<void> {
  await redis.hset(keys.rules(kp), rule, JSON.stringify(settings));
  await publishControl(redis, kp, { kind: "rules" });
}

/** Takes back what was set for a rule, or for all; for how many something was. */
export async function resetRuleSettings(redis: Redis, kp: string, rule: string | undefined): Promise<number> {
  const key = keys.rules(kp);
  const names = rule === undefined ? await redis.hkeys(key) : [rule];
  const removed = names.length === 0 ? 0 : await redis.hdel(key, ...names);
  await publishControl(redis, kp, { kind: "rules" });
  return removed;
}
