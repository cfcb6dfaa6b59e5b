import { describe, expect, test } from "vitest";
import { tuneByHand, type TunedSetting } from "../../../bench/shared/tuned-setting.ts";

/** A machine on which a run takes so long, and which ends jobs below a share of what they are declared with. */
function machine(seconds: (setting: TunedSetting) => number, leastShare: number) {
  return (setting: TunedSetting) =>
    Promise.resolve({ seconds: seconds(setting), kernelKills: setting.share < leastShare ? 1 : 0, failed: 0 });
}

describe("who tunes by hand", () => {
  test("asks for less until a job is ended, then for fewer at a time as long as that helps", async () => {
    const run = machine(({ processes, share }) => 100 * share + Math.abs(Math.min(processes, 40) - 12), 0.7);
    const { best, tried } = await tuneByHand(run);
    expect(best).toMatchObject({ setting: { share: 0.7, processes: 12 }, result: { seconds: 70 } });
    expect(tried.map(({ setting }) => setting)).toEqual([
      ...[1, 0.85, 0.7, 0.55].map((share) => ({ share, processes: Infinity })),
      ...[24, 16, 12, 8].map((processes) => ({ share: 0.7, processes })),
    ]);
  });

  test("goes on to fewer at a time while no setting is safe, and may find none", async () => {
    const run = (setting: TunedSetting) =>
      Promise.resolve({ seconds: 1, kernelKills: 0, failed: setting.processes > 2 ? 1 : 0 });
    expect((await tuneByHand(run)).best?.setting).toEqual({ share: 1, processes: 2 });
    const { best, tried } = await tuneByHand(machine(() => 1, 2));
    expect(best).toBeUndefined();
    expect(tried).toHaveLength(9);
  });
});
