import { describe, expect, test } from "vitest";
import { placementOf, placementText } from "../../../../src/worker/inference/placement.ts";

let index = 0;
const event = (provider: string, op = "MatMul", cat = "Node") => ({
  ...{ cat, name: `${op}_kernel_time` },
  args: { provider, op_name: op, node_index: String(index++) },
});

describe("placement", () => {
  test("counts operations by provider, without copies, sessions and what it does not know", () => {
    const profile = JSON.stringify([
      { cat: "Session", name: "model_loading" },
      event("CUDAExecutionProvider"),
      event("CUDAExecutionProvider", "Gemm"),
      event("CUDAExecutionProvider", "MemcpyToHost"),
      event("CPUExecutionProvider", "Shape"),
      event("CPUExecutionProvider", "Shape", "Kernel"),
      event("OtherExecutionProvider"),
      { cat: "Node" },
    ]);
    expect(placementOf(profile)).toEqual({ cuda: 2, cpu: 1 });
    expect(placementOf("[]")).toEqual({});
  });

  test("counts an operation of a loop once, however often it ran", () => {
    const looped = event("CUDAExecutionProvider");
    const profile = JSON.stringify([looped, looped, event("CPUExecutionProvider"), looped]);
    expect(placementOf(profile)).toEqual({ cuda: 1, cpu: 1 });
  });

  test("is told with the rest that runs elsewhere", () => {
    expect(placementText("cpu", undefined)).toBe("cpu");
    expect(placementText("cuda", { cuda: 22 })).toBe("cuda (22 of 22 operations)");
    expect(placementText("webgpu", { cpu: 4, webgpu: 20 })).toBe("webgpu (20 of 24 operations, cpu 4)");
    expect(placementText("webgpu", { cpu: 4 })).toBe("webgpu (0 of 4 operations, cpu 4)");
  });
});
