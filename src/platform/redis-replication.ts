/** What a primary says about its replicas, and what of it would lose acknowledged jobs in a failover. */

/** One replica, as its primary sees it. */
export interface ReplicaFacts {
  readonly address: string;
  /** `online` when it follows; anything else while it still gets its first copy. */
  readonly state: string;
  readonly lagSeconds: number;
}

export interface ReplicationFacts {
  readonly replicas: readonly ReplicaFacts[];
  /** Replicas that must follow, or the primary takes no write; where only INFO may be read, 1 for any number. */
  readonly minReplicasToWrite: number;
  /** Seconds that a primary waits before it sends a new replica its first copy; undefined when it does not tell. */
  readonly syncDelaySeconds: number | undefined;
}

/** A replica that has said nothing for longer than this has not what the primary has. */
const MAX_LAG_SECONDS = 10;

/** Reads the part of INFO about replication; settings come from CONFIG where access rules let it be read. */
export function parseReplication(
  info: ReadonlyMap<string, string>,
  settings: { readonly minReplicasToWrite?: string | undefined; readonly syncDelaySeconds?: string | undefined },
): ReplicationFacts {
  const replicas: ReplicaFacts[] = [];
  for (let at = 0; info.has(`slave${at}`); at += 1) {
    const parts = new Map((info.get(`slave${at}`) ?? "").split(",").map((part) => pairOf(part)));
    replicas.push({
      address: `${parts.get("ip") ?? "?"}:${parts.get("port") ?? "?"}`,
      state: parts.get("state") ?? "unknown",
      lagSeconds: Number(parts.get("lag") ?? 0),
    });
  }
  return {
    replicas,
    // INFO has the number of good replicas only where a least number is set.
    minReplicasToWrite: numberOf(settings.minReplicasToWrite) ?? (info.has("min_slaves_good_slaves") ? 1 : 0),
    syncDelaySeconds: numberOf(settings.syncDelaySeconds),
  };
}

/** What is wrong with the replication of a primary that Sentinel may replace, with the command that mends it. */
export interface ReplicationFault {
  /** `loses`: a failover would lose what was acknowledged. `waits`: it is so now and passes, or only costs time. */
  readonly kind: "loses" | "waits";
  readonly expected: string;
  readonly found: string;
  readonly fix: string;
}

/** Looks at a primary behind Sentinels. `cli` is the `redis-cli` call that reaches it. */
export function findReplicationFaults(facts: ReplicationFacts, cli: string): ReplicationFault[] {
  const faults: ReplicationFault[] = [];
  if (facts.minReplicasToWrite === 0) {
    faults.push({
      kind: "loses",
      expected: "min-replicas-to-write 1 or more",
      found: "0, under which a primary that is cut off goes on acknowledging jobs that a failover loses",
      fix: `${cli} CONFIG SET min-replicas-to-write 1, ${cli} CONFIG SET min-replicas-max-lag ${MAX_LAG_SECONDS}, and the same lines in its redis.conf`,
    });
  }
  if (facts.replicas.length === 0) {
    faults.push({
      kind: "waits",
      expected: "a replica that follows",
      found: "none, so that no failover is possible",
      fix: "start a replica, or name a server without Sentinels",
    });
  }
  const behind = facts.replicas.filter(({ state, lagSeconds }) => state !== "online" || lagSeconds > MAX_LAG_SECONDS);
  if (behind.length > 0) {
    faults.push({
      kind: "waits",
      expected: "every replica in sync",
      found: behind.map(({ address, state, lagSeconds }) => `${address} ${state}, ${lagSeconds} s behind`).join("; "),
      fix: `wait for state=online in ${cli} INFO replication: a failover to a replica without its copy loses all jobs`,
    });
  }
  if ((facts.syncDelaySeconds ?? 0) > 0) {
    faults.push({
      kind: "waits",
      expected: "repl-diskless-sync-delay 0",
      found: `${facts.syncDelaySeconds ?? 0} s, in which a new replica is empty and may be promoted`,
      fix: `${cli} CONFIG SET repl-diskless-sync-delay 0, and the same line in its redis.conf`,
    });
  }
  return faults;
}

function pairOf(part: string): [string, string] {
  const at = part.indexOf("=");
  return [part.slice(0, at), part.slice(at + 1)];
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}
