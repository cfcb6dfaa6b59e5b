/** Renders kustomizations with the kubectl of Debian 13: no cluster is needed for that. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { parseAllDocuments } from "yaml";
import { fetchDebianPackages } from "./debian-package.ts";

const run = promisify(execFile);
const repository = join(import.meta.dirname, "../..");

/** One rendered object, as far as every object is alike. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
}

/** The kustomizations that are looked at: every overlay, and two with the components that no overlay uses together. */
export const kustomizations = [
  "deploy/k8s/overlays/dev",
  "deploy/k8s/overlays/prod",
  "deploy/k8s/overlays/gpu",
  "deploy/k8s/overlays/ci",
  "tests/fixtures/k8s/everything",
  "tests/fixtures/k8s/by-redis",
] as const;

/** The objects of a kustomization, by its path in the repository. @throws with what kubectl says */
export async function renderKustomization(path: string): Promise<KubernetesObject[]> {
  const root = await fetchDebianPackages({ suite: "trixie", packages: ["kubectl"] });
  const [loader, ...args] = root.program("kubectl").command;
  const { stdout } = await run(loader, [...args, "kustomize", join(repository, path)], { maxBuffer: 64 * 1024 * 1024 });
  return parseAllDocuments(stdout).map((document) => document.toJS() as KubernetesObject);
}
