/** What was learned of classes, as a worker holds it, without Redis. */
import type { LearnedClass } from "../../src/platform/learned/class-key.ts";
import { ClassModel } from "../../src/platform/learned/class-model.ts";
import { decideDrift } from "../../src/platform/learned/anomaly.ts";
import {
  addToState,
  DRIFT_WEIGHT,
  emptyState,
  fadeState,
  weightOfClass,
  type ClassState,
} from "../../src/platform/learned/class-state.ts";
import type { Note } from "../../src/platform/learned/note.ts";

interface View {
  readonly state: ClassState;
  model: ClassModel | undefined;
  newJobs: number;
}

export class SimulatedClasses {
  readonly #views = new Map<string, View>();

  load(about: LearnedClass): Promise<ClassModel | undefined> {
    return Promise.resolve(this.peek(about));
  }

  refresh(): Promise<void> {
    return Promise.resolve();
  }

  peek(about: LearnedClass): ClassModel | undefined {
    const view = this.#viewOf(about);
    if (weightOfClass(view.state) <= 0) return undefined;
    // Made anew as often as a worker does.
    if (view.model === undefined || view.newJobs > 0.03 * weightOfClass(view.state)) {
      view.model = new ClassModel(view.state);
      view.newJobs = 0;
    }
    return view.model;
  }

  note(about: LearnedClass, { sums, recent, jobs }: Note): boolean {
    const view = this.#viewOf(about);
    addToState(view.state, { sums, recent: [recent], jobs });
    view.newJobs += 1;
    const hasDrifted = recent.coverage === "beyond" && decideDrift(view.state.recent);
    if (!hasDrifted) return false;
    fadeState(view.state, DRIFT_WEIGHT);
    view.model = undefined;
    return true;
  }

  retract(about: LearnedClass, sums: ReadonlyMap<string, number>): void {
    const view = this.#viewOf(about);
    addToState(view.state, { sums, recent: [], jobs: 0 });
    view.newJobs += 1;
  }

  #viewOf(about: LearnedClass): View {
    const view = this.#views.get(about.key) ?? { state: emptyState(about), model: undefined, newJobs: 0 };
    this.#views.set(about.key, view);
    return view;
  }
}
