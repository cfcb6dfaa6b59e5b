/**
 * On which provider the operations of a model really ran. A provider takes only what it knows, the rest goes to the CPU
 * without a word, and a list of providers that were asked for says nothing of that: the runtime's own profile does.
 */
import { readdirSync, readFileSync, rmSync, type Dirent } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import type { Provider } from "../../contract/model-manifest.ts";

/** Operations by the provider that ran them; one that ran again and again in a loop counts once. */
export type Placement = Readonly<Partial<Record<Provider, number>>>;

const names: Readonly<Record<string, Provider>> = {
  CUDAExecutionProvider: "cuda",
  WebGpuExecutionProvider: "webgpu",
  CPUExecutionProvider: "cpu",
};

/** `webgpu (24 of 28 operations, cpu 4)`: a provider with what of the model it runs. */
export function placementText(provider: Provider, placement: Placement | undefined): string {
  if (placement === undefined) return provider;
  const all = Object.values(placement).reduce((sum, operations) => sum + operations, 0);
  const others = Object.entries(placement).filter(([name]) => name !== provider);
  const rest = others.map(([name, operations]) => `, ${name} ${operations}`).join("");
  return `${provider} (${placement[provider] ?? 0} of ${all} operations${rest})`;
}

interface ProfileEvent {
  readonly cat?: string;
  readonly name?: string;
  readonly args?: { readonly provider?: string; readonly op_name?: string; readonly node_index?: string };
}

/** Counts the operations of a profile (JSON in Chrome's trace format, one event per operation and run). Pure. */
export function placementOf(profile: string): Placement {
  const ran = new Map<Provider, Set<string>>();
  for (const event of JSON.parse(profile) as readonly ProfileEvent[]) {
    const provider = providerOf(event);
    if (provider === undefined) continue;
    // Operations without a name of their own are told apart by their place in the graph.
    ran.set(provider, (ran.get(provider) ?? new Set()).add(`${event.args?.node_index ?? ""} ${event.name ?? ""}`));
  }
  return Object.fromEntries([...ran].map(([provider, operations]) => [provider, operations.size]));
}

/** Who ran the operation of this event; undefined for what is no work of the model, copies among it. */
function providerOf({ cat, args }: ProfileEvent): Provider | undefined {
  if (cat !== "Node" || args?.op_name?.startsWith("Memcpy") === true) return undefined;
  return names[args?.provider ?? ""];
}

let profiles = 0;

/** Where the runtime writes one profile. It puts the time behind the name, so that the file has to be looked for. */
export class ProfileFile {
  readonly prefix = join(tmpdir(), `headroom-profile-${process.pid}-${++profiles}`);

  /** What was written; the file is gone afterwards. */
  take(): Placement {
    const [path, ...others] = this.#paths();
    try {
      return path === undefined ? {} : placementOf(readFileSync(path, "utf8"));
    } finally {
      for (const written of [path, ...others]) if (written !== undefined) rmSync(written, { force: true });
    }
  }

  #paths(): string[] {
    const folder = dirname(this.prefix);
    const isOwn = ({ name }: Dirent) => name.startsWith(`${basename(this.prefix)}_`);
    return readdirSync(folder, { withFileTypes: true })
      .filter(isOwn)
      .map(({ name }) => join(folder, name));
  }
}
