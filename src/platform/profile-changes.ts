/** Where declarations of profiles that were set while jobs wait are kept, and how workers are told of a change. */
import type { Redis } from "ioredis";
import { parseProfileChange, type ProfileChange, type ProfileChanges } from "../contract/profile-changes.ts";
import { keys } from "../contract/queues.ts";
import { publishControl } from "./control.ts";

/** What is set, by profile. An entry that cannot be read is left out, and told to `onFault`. */
export async function loadProfileChanges(
  redis: Redis,
  kp: string,
  onFault: (profile: string, error: unknown) => void = () => undefined,
): Promise<ProfileChanges> {
  const stored = await redis.hgetall(keys.profiles(kp));
  const changes = new Map<string, ProfileChange>();
  for (const [profile, text] of Object.entries(stored)) {
    try {
      changes.set(profile, parseProfileChange(profile, JSON.parse(text)));
    } catch (error) {
      onFault(profile, error);
    }
  }
  return changes;
}

/** Sets some fields of a profile and keeps the others; what is set afterwards. */
export async function setProfile(
  redis: Redis,
  kp: string,
  { profile, change }: { readonly profile: string; readonly change: ProfileChange },
): Promise<ProfileChange> {
  const next = { ...(await loadProfileChanges(redis, kp)).get(profile), ...change };
  await redis.hset(keys.profiles(kp), profile, JSON.stringify(next));
  await publishControl(redis, kp, { kind: "profiles" });
  return next;
}

/** Takes back what was set for a profile, or for all; for how many something was. */
export async function resetProfiles(redis: Redis, kp: string, profile: string | undefined): Promise<number> {
  const key = keys.profiles(kp);
  const names = profile === undefined ? await redis.hkeys(key) : [profile];
  const removed = names.length === 0 ? 0 : await redis.hdel(key, ...names);
  await publishControl(redis, kp, { kind: "profiles" });
  return removed;
}
