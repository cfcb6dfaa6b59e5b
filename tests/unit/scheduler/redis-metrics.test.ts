import { describe, expect, test } from "vitest";
import { parseInfo } from "../../../src/platform/redis-check.ts";
import { worstLag } from "../../../src/scheduler/redis-metrics.ts";

describe("lag of replicas", () => {
  test("is that of the one that is last", () => {
    const info = parseInfo(
      [
        "# Replication",
        "connected_slaves:2",
        "slave0:ip=10.0.0.1,port=6379,state=online,offset=900,lag=1",
        "slave1:ip=10.0.0.2,port=6379,state=online,offset=700,lag=12",
        "master_repl_offset:1000",
      ].join("\r\n"),
    );
    expect(worstLag(info)).toEqual({ bytes: 300, seconds: 12 });
  });

  test("is not told where there is no replica", () => {
    expect(worstLag(parseInfo("master_repl_offset:1000\r\nslave_read_only:1"))).toEqual({});
  });

  test("is never below 0: the offset of a replica may be newer than that of the primary", () => {
    const info = parseInfo("slave0:ip=::1,port=1,state=online,offset=7,lag=0\r\nmaster_repl_offset:5");
    expect(worstLag(info)).toEqual({ bytes: 0, seconds: 0 });
  });
});
