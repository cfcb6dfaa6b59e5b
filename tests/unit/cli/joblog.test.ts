import { describe, expect, test } from "vitest";
import { csvCell, manifestWriter } from "../../../src/cli/joblog.ts";
import { unrunResult, type FileResult } from "../../../src/contract/files.ts";
import { parseRunSpec } from "../../../src/contract/run-request.ts";

const run = {
  id: "r1",
  spec: parseRunSpec({
    command: ["/bin/tool", "--in={input}", "{output}", "{stem}"],
    input: { kind: "tree", root: "/data" },
    output: { root: "/out", from: "file" },
  }),
};
const entry = { index: 4, path: "sub/a b.txt", bytes: 10 };
const succeeded: FileResult = {
  ...unrunResult(entry, { outcome: "succeeded", failureClass: null, message: null }),
  ...{
    exitCode: 0,
    startedAtMs: 1_500,
    durationMs: 2_250,
    outputPath: "sub/a b.txt.output",
    outputBytes: 7,
    workerId: "w1",
  },
};

describe("manifest", () => {
  test("the job log has the columns of GNU parallel", () => {
    const { head, row } = manifestWriter("joblog", run);
    expect(head).toBe("Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n");
    expect(row(succeeded).split("\t")).toEqual([
      ...["5", "w1", "1.500", "     2.250", "10", "7", "0", "0"],
      "/bin/tool '--in=/data/sub/a b.txt' '/out/sub/a b.txt.output' 'a b'\n",
    ]);
  });

  test("a failure never looks like a success in the job log", () => {
    const { row } = manifestWriter("joblog", run);
    const columns = (result: Partial<FileResult>) =>
      row({ ...succeeded, ...result })
        .split("\t")
        .slice(6, 8);
    expect(columns({ outcome: "failed", exitCode: 3 })).toEqual(["3", "0"]);
    expect(columns({ outcome: "failed", exitCode: null, signal: "SIGKILL" })).toEqual(["-1", "9"]);
    expect(columns({ outcome: "failed", exitCode: 0, failureClass: "bad-output" })).toEqual(["-1", "0"]);
  });

  test("CSV quotes what RFC 4180 asks for", () => {
    expect(["plain", "a,b", 'say "x"', "two\nlines", " lead", ""].map(csvCell)).toEqual([
      ...["plain", '"a,b"', '"say ""x"""', '"two\nlines"', '" lead"', ""],
    ]);
    const { head, row } = manifestWriter("csv", run);
    const cells = row({ ...succeeded, path: "raw-\udcff" })
      .trimEnd()
      .split(",");
    expect(cells).toHaveLength(head.trimEnd().split(",").length);
    expect(cells[1]).toBe("raw-\\xff");
  });

  test("a line of JSON gives back the very same name", () => {
    const line = manifestWriter("jsonl", run).row({ ...succeeded, path: "raw-\udcff\n" });
    expect(line.split("\n")).toHaveLength(2);
    expect((JSON.parse(line) as FileResult).path).toBe("raw-\udcff\n");
  });
});
