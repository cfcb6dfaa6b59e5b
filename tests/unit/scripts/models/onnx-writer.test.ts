import { describe, expect, test } from "vitest";
import { Graph } from "../../../../scripts/models/onnx/graph.ts";
import { Message } from "../../../../scripts/models/onnx/wire.ts";

const hex = (message: Message) => Buffer.from(message.finish()).toString("hex");

describe("protobuf wire format", () => {
  test("integers are of variable length, seven bits a byte", () => {
    expect(hex(new Message().int(1, 0))).toBe("0800");
    expect(hex(new Message().int(1, 300))).toBe("08ac02");
    expect(hex(new Message().int(16, 1))).toBe("800101");
    expect(hex(new Message().int(1, 2n ** 40n))).toBe("08808080808020");
  });

  test("negative integers take the ten bytes of 64 bits", () => {
    expect(hex(new Message().int(1, -1))).toBe("08ffffffffffffffffff01");
  });

  test("texts, floats and messages within messages carry their lengths", () => {
    const inner = new Message().text(1, "é").float(2, 1.5);
    expect(hex(new Message().message(3, inner))).toBe("1a09" + "0a02c3a9" + "150000c03f");
  });
});

describe("ONNX graph", () => {
  test("a tensor whose values do not fill its dimensions is refused", () => {
    const values = () => new Float32Array(5);
    expect(() => new Graph("g").weight("w", [2, 3], values)).toThrow("tensor w: expected 6 elements, found 5");
  });

  test("weights of one name are written once", () => {
    const graph = new Graph("g");
    graph.weight("w", [4], () => new Float32Array(4));
    const once = graph.model("test").length;
    graph.weight("w", [4], () => expect.fail("expected the first weight to be kept"));
    expect(graph.model("test")).toHaveLength(once);
  });

  test("the domain of an operator is declared with the model", () => {
    const graph = new Graph("g");
    graph.op("GroupQueryAttention", ["x"], { domain: "com.microsoft" });
    expect(Buffer.from(graph.model("test")).toString("latin1").split("com.microsoft")).toHaveLength(3);
  });
});
