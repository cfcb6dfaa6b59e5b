/** The options of `headroom eval`. */
import type { PlaceOptions } from "../settings.ts";

export interface EvalFlags extends PlaceOptions {
  readonly config?: string;
  readonly planner?: string;
  readonly repeats?: string;
  readonly against?: string;
  readonly output?: string;
  readonly json?: boolean;
}
