import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { expect, onTestFinished, test } from "vitest";
import { main } from "../../../src/cli/main.ts";
import { removeReportFiles, writeReportFiles } from "../../../src/cli/run/report-files.ts";
import { embeddedStoreUrl } from "../../../src/cli/settings.ts";
import { openStore } from "../../../src/store/open-store.ts";
import { testSpec } from "../../support/board-fixture.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { reportOf } from "../../support/run-report.ts";
import { Scratch } from "../../support/scratch.ts";

function openHome() {
  const scratch = new Scratch();
  onTestFinished(() => {
    scratch[Symbol.dispose]();
  });
  const home = join(scratch.path, "home");
  mkdirSync(home, { mode: 0o700 });
  const call = async (...argv: string[]) => {
    let [stdout, stderr] = ["", ""];
    const code = await main(argv, {
      stdin: Readable.from([]),
      stdout: new Writable({ write: (chunk, _encoding, done) => (done(), (stdout += String(chunk))) }),
      stderr: new Writable({ write: (chunk, _encoding, done) => (done(), (stderr += String(chunk))) }),
      env: { PATH: process.env["PATH"], HEADROOM_HOME: home },
      cwd: scratch.path,
    });
    return { code, stdout, stderr };
  };
  return { home, scratch, call };
}

test("headroom report prints the report of an ended run, and says why there is none", async () => {
  const { home, call } = openHome();
  const store = await openStore(embeddedStoreUrl(home), quietLogger);
  await store.migrate();
  for (const id of ["ended", "going", "lost"]) await store.runs.create({ id, spec: testSpec(), createdAtMs: 1 });
  const report = reportOf("ended");
  await store.runs.move("ended", ["queued"], "succeeded", { endedAtMs: 3_000, report });
  await store.runs.move("lost", ["queued"], "broken", { endedAtMs: 3_000, message: "could not be enqueued" });
  await store.close();

  expect((await call("report", "ended")).stdout).toMatch(/^# Run ended\n\n\*\*2 files succeeded\*\* in 2 s\./);
  expect(JSON.parse((await call("report", "ended", "--json")).stdout)).toEqual(report);
  const going = await call("report", "going");
  expect(going.code).toBe(2);
  expect(going.stderr).toContain("run going: expected one that has ended with a report, found it queued");
  expect((await call("report", "lost")).stderr).toContain("found it broken: could not be enqueued");
  expect((await call("report", "none")).stderr).toContain('found no run "none"');
});

test("the files of a report are written again, and removed without what else lies beside them", () => {
  const { home, scratch } = openHome();
  const folder = writeReportFiles(home, reportOf("r1"));
  writeReportFiles(home, reportOf("r1", { epoch: 1 }));
  expect(readdirSync(folder).toSorted()).toEqual(["report.json", "report.md"]);
  expect(JSON.parse(readFileSync(join(folder, "report.json"), "utf8"))).toMatchObject({ epoch: 1 });
  removeReportFiles(home, "r1");
  expect(existsSync(folder)).toBe(false);
  writeReportFiles(home, reportOf("r2"));
  scratch.file("home/runs/r2/notes", "mine");
  for (const id of ["r2", "never there"]) removeReportFiles(home, id);
  expect(readdirSync(join(home, "runs", "r2"))).toEqual(["notes"]);
});
