import { describe, expect, test } from "vitest";
import { InvalidAnswerError } from "../../../../src/worker/inference/generation/session.ts";
import { faultOf } from "../../../../src/worker/inference/onnx.ts";

/** Texts as the runtime said them: on a card that another process had filled, under `prlimit`, and as its source has them. */
describe("errors of a run", () => {
  test.each([
    [
      "CUDA",
      "Non-zero status code returned while running Gather node. Name:'classifier.Gather_node.41' Status Message: /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:359 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, onnxruntime::Stream*) Failed to allocate memory for requested buffer of size 8589934592",
    ],
    [
      "WebGPU, of a buffer that it could not have",
      "WebGPU validation failed. [Invalid Buffer (unlabeled)] is invalid due to a previous error.\n - While validating entries[2] against { binding: 2, visibility: ShaderStage::Compute }",
    ],
    ["Vulkan", "vkAllocateMemory failed with VK_ERROR_OUT_OF_DEVICE_MEMORY\n - While calling [Device].CreateBuffer"],
    ["the C++ library", "std::bad_alloc"],
    ["Node", "Array buffer allocation failed"],
  ])("that mean too little memory are known: %s", (_who, text) => {
    expect(faultOf(new Error(text))).toBe("out-of-memory");
  });

  test("after which nothing goes any more in the same process are known", () => {
    expect(faultOf(new Error("CUDA failure 700: an illegal memory access was encountered"))).toBe("sticky");
    expect(faultOf(new Error("A valid external Instance reference no longer exists. Device lost."))).toBe("sticky");
  });

  test("tell what is no answer apart from what is no input", () => {
    expect(faultOf(new InvalidAnswerError("answer {}: misses kind"))).toBe("output");
  });

  test("are otherwise those of the files", () => {
    expect(faultOf(new Error("indices element out of data bounds, idx=7 must be within [-2,1]"))).toBe("run");
    expect(faultOf(new Error("WebGPU validation failed. [Invalid ShaderModule] is invalid."))).toBe("run");
  });
});
