/** Law 2: what outgrows its reservation is ended before the kernel would, and asked for again with more memory. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Cli } from "../cli/cli-process.ts";

/**
 * The hog declares 100 MB, grows to 350 MB, and on its first try lives until it is ended. The others hold 80 MB, until the
 * hog of the first try is gone.
 */
const SCRIPT = `
use strict;
my ($input, $output, $grown) = @ARGV;
my @held;
sub hold { push @held, "x" x 10_000_000 for 1 .. shift; }
if ($input =~ /hog/) {
  my $isFirst = !-e $grown;
  hold(12);
  if ($isFirst) { open(my $fh, ">", "$grown.tmp") or die; print $fh $$; close $fh; rename("$grown.tmp", $grown) or die; }
  for (1 .. 23) { hold(1); select(undef, undef, undef, 0.02); }
  while ($isFirst) { select(undef, undef, undef, 0.1); }
} else {
  hold(8);
  select(undef, undef, undef, 0.02) until -e $grown;
  open(my $fh, "<", $grown) or die;
  my $pid = <$fh>;
  select(undef, undef, undef, 0.02) while kill(0, $pid);
}
open(my $out, ">", $output) or die;
print $out "done\\n";
close $out or die;
`;

interface Row {
  readonly path: string;
  readonly attempts: number;
  readonly failureClass: string | null;
}

test("the job that grew past its declaration is ended, its neighbours are not, and it succeeds with more room", async () => {
  await using cli = new Cli();
  const [input, output] = [join(cli.scratch.path, "in"), join(cli.scratch.path, "out")];
  mkdirSync(input);
  for (const name of ["hog", "kept-0", "kept-1"]) writeFileSync(join(input, name), "");
  const limits = ["--memory", "100MB", "--max-processes", "3", "--chunk-files", "1"];
  const command = ["perl", "-e", SCRIPT, "{input}", "{output}", join(cli.scratch.path, "grown")];
  const env = { HEADROOM_WORKER_MEMORY_MAX: "500MB" };
  const run = await cli.json<{ id: string; state: string; files: Record<string, number> }>(
    ["run", "-i", input, "-o", output, "--json", ...limits, "--", ...command],
    { env },
  );
  expect(run).toMatchObject({ state: "succeeded", files: { succeeded: 3, failed: 0 } });
  const { stdout } = await cli.call(["export", run.id]);
  const rows = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Row);
  const attempts = Object.fromEntries(rows.map((row) => [row.path, row.attempts]));
  expect(attempts).toEqual({ hog: 2, "kept-0": 1, "kept-1": 1 });
});
