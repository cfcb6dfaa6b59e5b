/** Where a worker runs when it runs in a pod of Kubernetes that may tell its own deletion cost. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { PodPlace } from "../worker/pod-cost.ts";

const ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Undefined outside of a pod, for one that was not told its name, and for one without the token of an account. */
export function podPlace(
  env: Readonly<Record<string, string | undefined>>,
  accountFolder = ACCOUNT_FOLDER,
): PodPlace | undefined {
  const { POD_NAME: name, POD_NAMESPACE: namespace, KUBERNETES_SERVICE_HOST: apiHost } = env;
  const apiPort = Number(env["KUBERNETES_SERVICE_PORT"] ?? 443);
  if (!name || !namespace || !apiHost || !Number.isInteger(apiPort)) return undefined;
  if (!existsSync(join(accountFolder, "token"))) return undefined;
  return { name, namespace, apiHost, apiPort, accountFolder };
}
