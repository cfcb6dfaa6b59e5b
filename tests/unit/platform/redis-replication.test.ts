import { describe, expect, test } from "vitest";
import { parseInfo } from "../../../src/platform/redis-check.ts";
import { findReplicationFaults, parseReplication } from "../../../src/platform/redis-replication.ts";

const following = "slave0:ip=10.0.0.2,port=6379,state=online,offset=1,lag=0\nmin_slaves_good_slaves:1\n";
const read = (text: string, settings = {}) => parseReplication(parseInfo(text), settings);

describe("replication", () => {
  test("is read from INFO, and from CONFIG where that may be read", () => {
    expect(read(following, { minReplicasToWrite: "2", syncDelaySeconds: "5" })).toEqual({
      replicas: [{ address: "10.0.0.2:6379", state: "online", lagSeconds: 0 }],
      minReplicasToWrite: 2,
      syncDelaySeconds: 5,
    });
    expect(read("role:master\n")).toEqual({ replicas: [], minReplicasToWrite: 0, syncDelaySeconds: undefined });
  });

  test("has no fault where a replica follows and one is asked for", () => {
    expect(findReplicationFaults(read(following, { syncDelaySeconds: "0" }), "redis-cli")).toEqual([]);
  });

  test.each([
    ["role:master\n", { minReplicasToWrite: "1" }, "waits", "a replica that follows"],
    [following.replace("min_slaves_good_slaves:1\n", ""), {}, "loses", "min-replicas-to-write 1 or more"],
    [following.replace("online", "wait_bgsave"), {}, "waits", "every replica in sync"],
    [following.replace("lag=0", "lag=11"), {}, "waits", "every replica in sync"],
    [following, { syncDelaySeconds: "5" }, "waits", "repl-diskless-sync-delay 0"],
  ])("of %j with %j %s something: %s", (info, settings, kind, expected) => {
    expect(findReplicationFaults(read(info, settings), "redis-cli")).toMatchObject([{ kind, expected }]);
  });
});
