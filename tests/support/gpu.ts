/**
 * What a test of the GPU path runs on: a card through CUDA, a card through Vulkan (WebGPU), or Vulkan in software, so
 * that the same code is run where no card is. Mesa's software driver is fetched from Debian 13: that of Debian 12 lacks
 * what the runtime asks for (measured: 22.3 is refused, 25.0 works).
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Provider } from "../../src/contract/model-manifest.ts";
import { hasNvidiaDriver } from "../../src/platform/nvidia.ts";
import { openSession } from "../../src/worker/inference/onnx.ts";
import { fetchDebianPackages } from "./debian-package.ts";

export interface GpuPlace {
  readonly provider: Exclude<Provider, "cpu">;
  /** A card, or a driver that does the same on the CPU. */
  readonly isCard: boolean;
  /** What starts an engine there. */
  readonly prefix: readonly string[];
}

/**
 * The best that this machine has; sets what processes that are started from here on need to find it.
 * @throws when there is no card, and the software driver cannot be had
 */
export async function openGpuPlace(model: string): Promise<GpuPlace> {
  if (hasNvidiaDriver()) {
    const opened = await openSession(() => model, ["cuda", "webgpu"], 1);
    if (opened.kind === "open") {
      const { provider } = opened.session;
      await opened.session.release();
      if (provider !== "cpu") return { provider, isCard: true, prefix: [] };
    }
  }
  return { provider: "webgpu", isCard: false, prefix: await softwareVulkan() };
}

async function softwareVulkan(): Promise<readonly string[]> {
  const packages = ["mesa-vulkan-drivers", "libvulkan1"];
  const { path, loader } = await fetchDebianPackages({ suite: "trixie", packages });
  const drivers = join(path, "usr/share/vulkan/icd.d");
  const driver = readdirSync(drivers).find((name) => name.startsWith("lvp"));
  if (driver === undefined) throw new Error(`expected Mesa's software driver in ${drivers}, found none`);
  return ["env", `VK_DRIVER_FILES=${join(drivers, driver)}`, ...loader()];
}
