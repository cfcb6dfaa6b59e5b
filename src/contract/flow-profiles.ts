/** The profiles that nodes of a flow name, and what the configuration declares of them. Pure. */
import { declaredProfile } from "./config-compile.ts";
import type { Config } from "./config.ts";
import type { CheckedFlow } from "./flow-check.ts";
import type { FlowNode } from "./flows.ts";
import type { Profile } from "./profiles.ts";

/** The profile of nodes that name none. It is there without being declared. */
const DEFAULT_NAME = "default";

/** By name: what nodes of a flow get that ask for nothing themselves. */
export type FlowProfiles = Readonly<Record<string, Profile>>;

/** The names that nodes may use where the configuration says all of them. */
export function profileNames(declared: Config["profiles"]): string[] {
  return [...new Set([DEFAULT_NAME, ...Object.keys(declared)])];
}

/** Of those that are declared the ones that a flow, with the flows in it, uses. */
export function profilesOf(flow: CheckedFlow, declared: Config["profiles"]): FlowProfiles {
  const found: Record<string, Profile> = {};
  for (const name of namesIn(flow)) {
    const profile = Object.hasOwn(declared, name) ? declared[name] : undefined;
    if (profile !== undefined) found[name] = declaredProfile(profile);
  }
  return found;
}

function namesIn(flow: CheckedFlow): Set<string> {
  const own = flow.order.map(({ profile = DEFAULT_NAME }) => profile);
  return new Set([...own, ...[...new Set(flow.nested.values())].flatMap((below) => [...namesIn(below)])]);
}

/** What a node gets of its profile; undefined where nothing is declared of it. */
export function profileOfNode({ profile = DEFAULT_NAME }: FlowNode, profiles: FlowProfiles = {}): Profile | undefined {
  return Object.hasOwn(profiles, profile) ? profiles[profile] : undefined;
}
