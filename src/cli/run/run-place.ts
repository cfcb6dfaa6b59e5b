/** Where a run works: data folder, Redis and store. */
import type { Config } from "../../contract/config.ts";
import { InvalidInputError, type Fault } from "../../contract/errors.ts";
import { gather } from "../../contract/gather.ts";
import { openPlace, placeDefaultsOf, type Place } from "../settings.ts";
import { checkRequest, type RunRequest } from "./run-plan.ts";

/** The place that options, environment and configuration name. @throws {InvalidInputError} with what else is wrong with the run */
export function openRunPlace(request: RunRequest, config: Config): Place {
  const { flags, io } = request;
  const faults: Fault[] = [];
  const place = gather(faults, () => openPlace(flags, io, placeDefaultsOf(config)));
  if (place !== undefined) return place;
  if (flags.resume === undefined) gather(faults, () => checkRequest(request, config));
  throw new InvalidInputError("command line", faults);
}
