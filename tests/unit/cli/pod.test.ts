import { describe, expect, test } from "vitest";
import { podPlace } from "../../../src/cli/pod.ts";
import { Scratch } from "../../support/scratch.ts";

const env = {
  ...{ POD_NAME: "worker-0", POD_NAMESPACE: "jobs" },
  ...{ KUBERNETES_SERVICE_HOST: "10.0.0.1", KUBERNETES_SERVICE_PORT: "6443" },
};

describe("the pod of a worker", () => {
  test("is known by its name, its API and the token of its account", () => {
    using scratch = new Scratch();
    scratch.file("token", "t");
    const place = { name: "worker-0", namespace: "jobs", apiHost: "10.0.0.1", apiPort: 6_443 };
    expect(podPlace(env, scratch.path)).toEqual({ ...place, accountFolder: scratch.path });
  });

  test("is none without any of them, and outside of a cluster", () => {
    using scratch = new Scratch();
    expect(podPlace(env, scratch.path)).toBeUndefined();
    scratch.file("token", "t");
    for (const name of ["POD_NAME", "POD_NAMESPACE", "KUBERNETES_SERVICE_HOST"]) {
      expect(podPlace({ ...env, [name]: undefined }, scratch.path)).toBeUndefined();
      expect(podPlace({ ...env, [name]: "" }, scratch.path)).toBeUndefined();
    }
  });
});
