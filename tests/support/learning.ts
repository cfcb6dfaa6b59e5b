/** A class that learns as a worker does, without Redis: expects, measures, notes, and forgets when it has drifted. */
import type { Expectation } from "../../src/contract/expectation.ts";
import { profileSchema } from "../../src/contract/profiles.ts";
import { decideDrift } from "../../src/platform/learned/anomaly.ts";
import { ClassModel } from "../../src/platform/learned/class-model.ts";
import {
  addToState,
  DRIFT_WEIGHT,
  emptyState,
  fadeState,
  weightOfClass,
  type ClassState,
} from "../../src/platform/learned/class-state.ts";
import { expectationOf } from "../../src/platform/learned/expectation-of.ts";
import { noteOf, type Measure, type Note } from "../../src/platform/learned/note.ts";

export class Learning {
  state: ClassState = emptyState({ profile: "default", command: ["/bin/tool"] });
  drifts = 0;
  readonly #declaredBytes: number | undefined;
  #model: ClassModel | undefined;
  #newJobs = 0;

  constructor(declaredBytes?: number) {
    this.#declaredBytes = declaredBytes;
  }

  get model(): ClassModel | undefined {
    if (weightOfClass(this.state) <= 0) return undefined;
    // Made anew as often as a worker does.
    if (this.#model === undefined || this.#newJobs > 0.03 * weightOfClass(this.state)) {
      this.#model = new ClassModel(this.state);
      this.#newJobs = 0;
    }
    return this.#model;
  }

  expect(inputBytes: number): Expectation {
    const profile = profileSchema.parse({ memoryBytes: this.#declaredBytes });
    return expectationOf({ profile, learned: this.model, inputBytes });
  }

  /** Notes one job; what was expected of it, and what was found strange. */
  take(job: Measure): { expected: Expectation; note: Note; isWithin: boolean } {
    const expected = this.expect(job.inputBytes);
    const note = noteOf(job, this.model, expected);
    addToState(this.state, { sums: note.sums, recent: [note.recent], jobs: note.jobs });
    if (decideDrift(this.state.recent)) {
      this.drifts += 1;
      fadeState(this.state, DRIFT_WEIGHT);
      this.#model = undefined;
    }
    this.#newJobs += 1;
    return { expected, note, isWithin: job.peakBytes <= expected.memoryBytes.p95 };
  }

  wipe(): void {
    this.state = emptyState(this.state.name);
    this.#model = undefined;
  }
}
