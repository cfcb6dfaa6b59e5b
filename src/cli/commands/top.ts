/** `headroom top`: the live workers, their room, what runs and what waits. */
import type { Command } from "commander";
import { InvalidInputError } from "../../contract/errors.ts";
import { systemClock } from "../../platform/clock.ts";
import { loadLiveWorkers, type Cluster } from "../cluster.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, withCluster, type Invocation } from "../command-line.ts";
import { Interrupt } from "../interrupt.ts";
import { outStyle, print, printJson, type Io } from "../io.ts";
import type { PlaceOptions } from "../settings.ts";
import { canRedraw } from "../style.ts";
import { topText } from "../top-text.ts";

interface Flags extends PlaceOptions {
  readonly json?: boolean;
  readonly once?: boolean;
  readonly interval: string;
}

const MIN_SECONDS = 0.2;
const MAX_SECONDS = 60;
const JOBS_SHOWN = 20;
const HOME = "\u001b[H";
const CLEAR_REST_OF_LINE = "\u001b[K";
const CLEAR_BELOW = "\u001b[J";
const ENTER = "\u001b[?1049h\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";

export function topCommand(invocation: Invocation): Command {
  const command = describeCommand("top", "watch the workers: room, running jobs, what waits for what", [
    "headroom top",
    "headroom top --once",
    "headroom top --json",
  ])
    .option("--once", "print one picture and end")
    .option("--interval <seconds>", "between two pictures", "1");
  return addPlaceOptions(addJsonOption(command)).action(
    act(invocation, async (flags: Flags) => {
      const { io } = invocation;
      const intervalMs = parseInterval(flags.interval);
      await withCluster(flags, io, async (cluster) => {
        if (flags.json === true) printJson(io, await loadLiveWorkers(cluster));
        else if (flags.once === true || !canRedraw(io.stdout, io.env)) print(io, await picture(cluster, io));
        else await watch(cluster, io, intervalMs);
      });
      return undefined;
    }),
  );
}

/** Redraws until Ctrl-C, on the terminal's other screen, so that what was there comes back. */
async function watch(cluster: Cluster, io: Io, intervalMs: number): Promise<void> {
  const leave = () => io.stdout.write(LEAVE);
  using interrupt = new Interrupt(leave);
  io.stdout.write(ENTER);
  try {
    while (!interrupt.isAsked) {
      const lines = (await picture(cluster, io)).split("\n");
      io.stdout.write(HOME + lines.map((line) => line + CLEAR_REST_OF_LINE).join("\n") + CLEAR_BELOW);
      await systemClock.sleep(intervalMs, interrupt.signal).catch(() => undefined); // Ctrl-C is the way out
    }
  } finally {
    leave();
  }
}

async function picture(cluster: Cluster, io: Io): Promise<string> {
  const workers = await loadLiveWorkers(cluster);
  const columns = io.stdout.columns ?? 100;
  return topText(workers, { nowMs: systemClock.nowMs(), columns, style: outStyle(io), maxJobs: JOBS_SHOWN });
}

function parseInterval(text: string): number {
  const seconds = Number(text);
  if (text.trim() !== "" && seconds >= MIN_SECONDS && seconds <= MAX_SECONDS) return seconds * 1_000;
  const expected = `seconds from ${MIN_SECONDS} to ${MAX_SECONDS}`;
  throw new InvalidInputError("command line", [{ where: "--interval", expected, found: JSON.stringify(text) }]);
}
