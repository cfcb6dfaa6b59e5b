/**
 * Bar: 2,000 small files through sha256sum, outputs on disk, manifest complete, against `xargs -P<same>` running
 * `sh -c 'sha256sum … > out'` and against GNU parallel, all in one run of this bench, in turn.
 *
 * `ratioToXargs` compares the run itself (from the first claim to the report) and `wallRatioToXargs` the whole command,
 * with the start of the process, its Redis and its store. Needs `parallel` and a build (`npm run build`).
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { median, report, round, scratch, timeCommand } from "./support.ts";

const FILES = 2_000;
const PROCESSES = Number(process.env["BENCH_PROCESSES"] ?? 4);
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 3);

interface RunJson {
  readonly id: string;
  readonly files: { readonly succeeded: number };
  readonly filesPerSecond: number;
}

using folder = scratch("xargs");
const input = join(folder.path, "in");
const output = join(folder.path, "out");
mkdirSync(input);
for (let at = 0; at < FILES; at += 1) writeFileSync(join(input, `file-${at}.txt`), `content of file ${at}\n`);

async function plain(command: string): Promise<number> {
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output);
  const seconds = await timeCommand("bash", ["-c", command]);
  const written = readdirSync(output).length;
  if (written !== FILES) throw new Error(`expected ${FILES} outputs, found ${written}`);
  return FILES / seconds;
}

function headroom(home: string): { run: number; wall: number; lag: number | undefined } {
  rmSync(output, { recursive: true, force: true });
  const started = performance.now();
  const text = execFileSync(
    process.execPath,
    [
      "bin/headroom.js",
      "run",
      "--json",
      "--home",
      home,
      "--input",
      input,
      "--output",
      output,
      "--max-processes",
      String(PROCESSES),
      "--",
      "sha256sum",
      "{input}",
    ],
    { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], maxBuffer: 64 * 1024 * 1024 },
  );
  const wall = FILES / ((performance.now() - started) / 1_000);
  const result = JSON.parse(text) as RunJson;
  const rows = execFileSync(
    process.execPath,
    ["bin/headroom.js", "export", result.id, "--home", home, "--format", "jsonl"],
    {
      encoding: "utf8",
      maxBuffer: 64 * 1024 * 1024,
    },
  );
  const manifest = rows.trim().split("\n").length;
  if (result.files.succeeded !== FILES || manifest !== FILES) {
    throw new Error(`expected ${FILES} files and rows, found ${result.files.succeeded} and ${manifest}`);
  }
  return { run: result.filesPerSecond, wall, lag: undefined };
}

const rates = { xargs: [] as number[], parallel: [] as number[], run: [] as number[], wall: [] as number[] };
for (let at = 0; at < ROUNDS; at += 1) {
  rates.xargs.push(
    await plain(
      `find ${input} -type f -print0 | xargs -0 -P${PROCESSES} -I{} sh -c 'sha256sum "$1" > "$0/\${1##*/}.output"' ${output} {}`,
    ),
  );
  const ours = headroom(join(folder.path, `home-${at}`));
  rates.run.push(ours.run);
  rates.wall.push(ours.wall);
  rates.parallel.push(
    await plain(`find ${input} -type f | parallel --will-cite -j${PROCESSES} 'sha256sum {} > ${output}/{/}.output'`),
  );
}

const [xargs, parallel, run, wall] = [
  median(rates.xargs),
  median(rates.parallel),
  median(rates.run),
  median(rates.wall),
];
report("files-vs-xargs", {
  files: FILES,
  processes: PROCESSES,
  rounds: ROUNDS,
  xargsFilesPerSecond: round(xargs, 1),
  parallelFilesPerSecond: round(parallel, 1),
  filesPerSecond: round(run, 1),
  wallFilesPerSecond: round(wall, 1),
  ratioToXargs: round(run / xargs),
  wallRatioToXargs: round(wall / xargs),
  ratioToParallel: round(run / parallel),
  bar: "ratioToXargs >= 0.8, ratioToParallel >= 3",
});
