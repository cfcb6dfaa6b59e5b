/** The scale signal as the leader last decided it: stored in Redis, so that every process tells the same one. */
import type { Redis } from "ioredis";
import { SANDBOX_LABEL } from "../contract/allow.ts";
import { InfrastructureError, InvalidInputError, NotFoundError } from "../contract/errors.ts";
import { keys } from "../contract/queues.ts";
import {
  SCALING_PATH,
  scalingSignal,
  workersWanted,
  type ProfileScaling,
  type ScalingAnswer,
  type ScalingSignal,
} from "../contract/scaling.ts";
import type { OpsRoute } from "./ops-server.ts";

/** Older than that no leader decides, and what the last one said says nothing of now. */
export const SIGNAL_KEPT_MS = 30_000;

/** The last signal; undefined when no leader has decided one of late. */
export async function loadScaling(redis: Redis, kp: string): Promise<ScalingSignal | undefined> {
  const text = await redis.get(keys.scaling(kp));
  if (text === null) return undefined;
  // One of another version is none: its leader is about to be followed by another.
  return scalingSignal.safeParse(JSON.parse(text)).data;
}

export interface ScalingQuery {
  readonly profile?: string | undefined;
  /** Those of a pool of workers; no label at all is the pool without labels. */
  readonly labels?: readonly string[] | undefined;
}

/** The labels that a pool is told by: whether a worker can shut processes in it finds out by itself, and nobody chooses. */
export function poolLabels(labels: readonly string[]): readonly string[] {
  return labels.filter((label) => label !== SANDBOX_LABEL);
}

/**
 * The part of a signal that is asked for.
 * @throws {InfrastructureError} without a signal @throws {NotFoundError} for a profile that nobody knows: a slip must not
 * look like a cluster with nothing to do
 */
export function answerScaling(signal: ScalingSignal | undefined, { profile, labels }: ScalingQuery): ScalingAnswer {
  if (signal === undefined) {
    throw new InfrastructureError(
      "expected a scheduler that leads and has decided how many workers are wanted, found none",
    );
  }
  const shown = signal.profiles.map(({ peaks: _peaks, ...rest }) => rest);
  if (profile !== undefined) {
    const isOfProfile = (one: Pick<ProfileScaling, "profile">) => one.profile === profile;
    if (!shown.some(isOfProfile)) throw new NotFoundError("profile", profile);
    const value = workersWanted(signal.profiles.filter(isOfProfile), signal);
    return { ...signal, value, profiles: shown.filter(isOfProfile) };
  }
  if (labels === undefined) return { ...signal, profiles: shown };
  const asked = poolLabels(labels);
  const isOfPool = (all: readonly string[]) => {
    const needs = poolLabels(all);
    return asked.length === 0 ? needs.length === 0 : needs.length > 0 && needs.every((label) => asked.includes(label));
  };
  const value = workersWanted(
    signal.profiles.filter((one) => isOfPool(one.labels)),
    signal,
  );
  return { ...signal, value, profiles: shown.filter((one) => isOfPool(one.labels)) };
}

/** `GET /v1/scaling` of an operations port; `?profile=NAME` or `?labels=a,b` for a part of it. */
export function scalingRoute({ redis, kp }: { readonly redis: Redis; readonly kp: string }): OpsRoute {
  return {
    method: "GET",
    path: SCALING_PATH,
    answer: async (query) => ({
      status: 200,
      body: answerScaling(await loadScaling(redis, kp), parseScalingQuery(query)),
    }),
  };
}

/** @throws {InvalidInputError} for a parameter that is none: one that is passed over would scale by the wrong number */
export function parseScalingQuery(query: URLSearchParams): ScalingQuery {
  const faults = [...query.keys()]
    .filter((name) => name !== "profile" && name !== "labels")
    .map((name) => ({ where: name, expected: "profile or labels", found: JSON.stringify(name) }));
  if (faults.length > 0) throw new InvalidInputError("query", faults);
  const [profile, labels] = [query.get("profile"), query.get("labels")];
  return {
    ...(profile !== null && { profile }),
    ...(labels !== null && { labels: parseLabels(labels) }),
  };
}

/** Labels between commas; an empty text is none. */
export function parseLabels(text: string): readonly string[] {
  return text.split(",").filter((label) => label !== "");
}
