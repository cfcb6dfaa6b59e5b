import { join } from "node:path";
import { startBenchCluster } from "./cluster.ts";
import { scratch } from "./support.ts";
using folder = scratch("x");
await using c = await startBenchCluster({ folder: folder.path, maxProcesses: 4 });
for (let i = 0; i < 4; i++) {
const t=performance.now();
const { run } = await c.client.run({ command: ["/usr/bin/sha256sum","{input}"], input:{kind:"tree",root:"/tmp/lab/in"}, output:{from:"stdout",root:join(folder.path,"out"+i)} });
const s = await c.client.wait(run.id);
console.log(s.state, s.counts, (2000/(performance.now()-t)*1000).toFixed(0), "files/s wall;", s.report?.filesPerSecond, "chunks", s.progress.chunks, JSON.stringify(c.metrics.eventLoopLag.quantiles()));
if (s.state!=="succeeded") console.log(JSON.stringify(s.report?.failures.slice(0,3)));
}
