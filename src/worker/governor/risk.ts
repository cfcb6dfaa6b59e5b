/**
 * How sure admission wants to be (`z` of the forecast), tuned by what happens: additive increase and decrease of risk.
 * Each job that ends cleanly takes a little off, each job that the governor had to end adds much, a kernel kill most:
 * so the jobs themselves say how far their peaks are independent and their percentiles right. Pure.
 *
 * 2.33 is the 99th percentile of the normal distribution. Measured in simulated time: docs/decisions/admission-thresholds.md.
 */

export type RiskEvent = "clean" | "governor-kill" | "kernel-kill";

export interface Risk {
  readonly z: number;
}

export const FIRST_Z = 2.33;
const LEAST_Z = 1;
const MOST_Z = 3;
const CHANGES: Readonly<Record<RiskEvent, number>> = { clean: -0.02, "governor-kill": 0.3, "kernel-kill": 1 };

export const firstRisk: Risk = { z: FIRST_Z };

/** The risk after one more job has ended, one way or the other. */
export function decideRisk({ z }: Risk, event: RiskEvent): Risk {
  return { z: Math.min(MOST_Z, Math.max(LEAST_Z, z + CHANGES[event])) };
}
