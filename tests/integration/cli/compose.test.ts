/** The processes as the command line puts them together: what is allowed in the configuration holds for their client. */
import { Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import { createParts, createProducerPart } from "../../../src/cli/compose.ts";
import { openServiceCluster } from "../../../src/cli/services.ts";
import { loadConfig } from "../../../src/platform/config-file.ts";
import { producerDefaults } from "../../../src/producer/config.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { startRedis } from "../../support/redis-server.ts";
import { Scratch } from "../../support/scratch.ts";

describe("the HTTP intake", () => {
  test("starts flows within the limits and the network of its configuration", async () => {
    using scratch = new Scratch();
    await using server = await startRedis();
    const file = scratch.file("headroom.yaml", "allow: { network: false, limits: { attempts: 1, turns: 9 } }\n");
    const sink = () =>
      new Writable({
        write: (_chunk, _encoding, done) => {
          done();
        },
      });
    const io = { stdin: process.stdin, stdout: sink(), stderr: sink(), env: {}, cwd: scratch.path };
    const config = loadConfig({ file, env: {}, cwd: scratch.path });
    const flags = { redis: server.url, store: `sqlite:${scratch.path}/store.db`, home: scratch.folder("home") };
    await using cluster = await openServiceCluster(flags, { io, config, logger: quietLogger });
    const parts = createParts(cluster, "producer");
    const { allow } = config;
    const settings = { ...producerDefaults, port: 0, prefix: cluster.place.kp, allow };
    const { service, url } = await createProducerPart(parts, settings, io);
    await service.start();
    try {
      const flow = { version: 1, name: "f", nodes: [{ id: "n", kind: "exec", command: ["/bin/false"] }] };
      const body = JSON.stringify({ flow, output: scratch.folder("runs") });
      const headers = { "content-type": "application/json" };
      const answer = await fetch(`${url()}/v1/flows`, { method: "POST", headers, body });
      const { id } = (await answer.json()) as { id: string };
      expect(answer.status).toBe(201);
      expect(await cluster.client.flows.load(id)).toMatchObject({ mostStarts: 1, isOffline: true });
    } finally {
      await service.stop();
    }
  });
});
