/**
 * The setting of somebody who tunes by hand, found as such people find it: by trying. Each kind of job has a declared size,
 * and so many jobs run at a time at most. First less and less of the declared worst case is asked for, until a job is ended
 * for memory; then fewer and fewer are let in at a time, as long as that helps.
 */
export interface TunedSetting {
  /** At a time, at most. */
  readonly processes: number;
  /** Of the worst case of each kind. */
  readonly share: number;
}

export interface Trial {
  readonly seconds: number;
  readonly kernelKills: number;
  readonly failed: number;
}

export interface Tried<T extends Trial> {
  readonly setting: TunedSetting;
  readonly result: T;
}

const SHARES = [1, 0.85, 0.7, 0.55, 0.4];
const PROCESSES = [24, 16, 12, 8, 6, 4, 2, 1];

/** The fastest of the settings in which nothing is ended and nothing fails, and all that were tried to find it. */
export async function tuneByHand<T extends Trial>(
  run: (setting: TunedSetting) => Promise<T>,
): Promise<{ readonly best: Tried<T> | undefined; readonly tried: readonly Tried<T>[] }> {
  const tried: Tried<T>[] = [];
  let best: Tried<T> | undefined;
  /** Whether it was better than all before. */
  const attempt = async (setting: TunedSetting): Promise<boolean> => {
    const one = { setting, result: await run(setting) };
    tried.push(one);
    const isBetter = isSafe(one.result) && (best === undefined || one.result.seconds < best.result.seconds);
    if (isBetter) best = one;
    return isBetter;
  };
  for (const share of SHARES) {
    await attempt({ processes: Infinity, share });
    if (tried.some(({ result }) => !isSafe(result))) break;
  }
  const share = best?.setting.share ?? 1;
  for (const processes of PROCESSES) {
    // Without a setting that is safe, on to fewer; from there on, as long as it helps.
    if (!(await attempt({ processes, share })) && best !== undefined) break;
  }
  return { best, tried };
}

function isSafe({ kernelKills, failed }: Trial): boolean {
  return kernelKills === 0 && failed === 0;
}
