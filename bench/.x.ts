import { join } from "node:path";
import { readFileSync, readdirSync } from "node:fs";
import { startBenchCluster } from "./cluster.ts";
import { scratch } from "./support.ts";
using folder = scratch("x");
await using c = await startBenchCluster({ folder: folder.path, maxProcesses: 4 });
const launcher = () => { for (const p of readdirSync("/proc")) { if (!/^\d+$/.test(p)) continue; try { const s = readFileSync(`/proc/${p}/stat`,"utf8"); const f = s.slice(s.lastIndexOf(")")+2).split(" "); if (Number(f[1])===process.pid && s.includes("perl")) return f.slice(11,15).map(x=>Number(x)*10).concat([Number(f[7]),Number(f[8])]); } catch {} } return [0,0,0,0,0,0]; };
const rss = () => { for (const p of readdirSync("/proc")) { if (!/^\d+$/.test(p)) continue; try { const s = readFileSync(`/proc/${p}/status`,"utf8"); if (s.includes(`PPid:\t${process.pid}\n`) && s.includes("Name:\tperl")) return /VmRSS:.*/.exec(s)![0] + " " + /VmData.*/.exec(s)![0]; } catch {} } return ""; };
const threads = () => Object.fromEntries(readdirSync("/proc/self/task").map((t) => { const s = readFileSync(`/proc/self/task/${t}/stat`,"utf8"); const f = s.slice(s.lastIndexOf(")")+2).split(" "); return [t, (Number(f[11])+Number(f[12]))*10]; }));
for (let i = 0; i < 3; i++) {
const t=performance.now(); const u=process.cpuUsage(); const l=launcher(); const th=threads();
const { run } = await c.client.run({ command: ["/usr/bin/sha256sum","{input}"], input:{kind:"tree",root:"/tmp/lab/in"}, output:{from:"stdout",root:join(folder.path,"out"+i)} });
const s = await c.client.wait(run.id);
console.log(rss()); const d=process.cpuUsage(u); const l2=launcher(); const th2=threads();
console.log((2000/(performance.now()-t)*1000).toFixed(0), "files/s; chunks", s.progress.chunks, "node user", d.user/1000, "sys", d.system/1000, "launcher u,s,cu,cs,minflt,cminflt:", l2.map((x,k)=>x-(l[k]??0)).join(" "), "threads", Object.entries(th2).map(([k,v])=>v-(th[k]??0)).filter(x=>x>50).join(","));
}
