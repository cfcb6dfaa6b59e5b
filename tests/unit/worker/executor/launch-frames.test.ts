import { describe, expect, test } from "vitest";
import { FrameReader, startFrame } from "../../../../src/worker/executor/launch-frames.ts";

function ended(log: { kept: string; total: number; head: number }): Buffer {
  const body = Buffer.alloc(71);
  body.write("X", 0, "latin1");
  body.writeUInt32BE(7, 1);
  body.writeUInt32BE(99, 5);
  body.writeUInt8(1, 9);
  body.writeUInt32BE(6, 10);
  body.writeBigUInt64BE(5_000_000_000n, 19);
  body.writeBigUInt64BE(5_000_002_000n, 27);
  body.writeBigUInt64BE(4n, 35);
  body.writeBigUInt64BE(1_500n, 43);
  body.writeBigUInt64BE(500n, 51);
  body.writeBigUInt64BE(BigInt(log.total), 59);
  body.writeUInt32BE(log.head, 67);
  const frame = Buffer.concat([body, Buffer.from(log.kept)]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(frame.length);
  return Buffer.concat([length, frame]);
}

describe("launcher frames", () => {
  test("are read however they are cut", () => {
    const bytes = Buffer.concat([ended({ kept: "", total: 0, head: 0 }), Buffer.from("\0\0\0\x01P", "latin1")]);
    const expected = [
      {
        kind: "ended",
        id: 7,
        launch: {
          end: { kind: "signalled", signal: "SIGABRT" },
          startedUs: 5_000_000_000,
          endedUs: 5_000_002_000,
          peakBytes: 4_096,
          cpuMs: 2,
          strays: 0,
          log: null,
        },
      },
      { kind: "pong" },
    ];
    for (let size = 1; size <= bytes.length; size += 1) {
      const reader = new FrameReader();
      const frames = [];
      for (let at = 0; at < bytes.length; at += size) frames.push(...reader.push(bytes.subarray(at, at + size)));
      expect(frames).toEqual(expected);
    }
  });

  test("say how much of a log is left out, and carry no NUL", () => {
    const [frame] = new FrameReader().push(ended({ kept: "he\0adtail", total: 100, head: 5 }));
    expect(frame).toMatchObject({ launch: { log: "he\ufffdad\n[91 bytes left out]\ntail" } });
  });

  test("refuse arguments with NUL and keep bytes that are not UTF-8", () => {
    const request = { slot: 1, env: [], logBytes: 10, inGroup: false, stdoutPath: null };
    expect(() => startFrame(1, 1, "/", { ...request, argv: ["a\0b"] })).toThrow(RangeError);
    expect(startFrame(1, 1, "/", { ...request, argv: ["/x", "\udcff"] }).subarray(-1)).toEqual(Buffer.of(0xff));
  });
});
