/** Where a run works: data folder, Redis and store. */
import type { Config } from "../../contract/config.ts";
import { InvalidInputError, type Fault } from "../../contract/errors.ts";
import { gather } from "../../contract/gather.ts";
import { openPlace, type Place } from "../settings.ts";
import { checkRequest, type RunRequest } from "./run-plan.ts";

/** The place that options, environment and configuration name. @throws {InvalidInputError} with what else is wrong with the run */
export function openRunPlace(request: RunRequest, config: Config): Place {
  const { flags, io } = request;
  const faults: Fault[] = [];
  const { redis, store } = config;
  const defaults = { redisUrl: redis.url, storeUrl: store.url, prefix: redis.prefix };
  const place = gather(faults, () => openPlace(flags, io, defaults));
  if (place !== undefined) return place;
  if (flags.resume === undefined) gather(faults, () => checkRequest(request, config));
  throw new InvalidInputError("command line", faults);
}
