/** Files through an engine alone, without a run around them. */
import type { ModelEngine } from "../../src/worker/inference/model-engine.ts";

/** Hands all files over at once; the seconds until each has its answer. */
export async function submitAll(engine: ModelEngine, placeId: number, paths: readonly string[]): Promise<number> {
  const startedMs = performance.now();
  await new Promise<void>((done, failed) => {
    let left = paths.length;
    const onAnswers = (answers: readonly unknown[]) => {
      left -= answers.length;
      if (left === 0) done();
    };
    engine.submit({ placeId, paths, onAnswers, onBroken: failed });
  });
  return (performance.now() - startedMs) / 1_000;
}
