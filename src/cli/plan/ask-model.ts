/** Asks a model of the cluster: its question is the one file of a run, its answer the one line of the results. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Config } from "../../contract/config.ts";
import { InfrastructureError } from "../../contract/errors.ts";
import type { AskModel, ModelAnswer, ModelQuestion } from "../../producer/planner/cluster-model.ts";
import { openCluster, type Cluster } from "../cluster.ts";
import type { Io } from "../io.ts";
import { openLogFile } from "../log-file.ts";
import { LocalWorker } from "../run/local-worker.ts";
import { workerSettings } from "../services.ts";
import { logLevelOf, type Place } from "../settings.ts";

interface Parts {
  readonly place: Place;
  readonly io: Io;
  readonly config: Config;
}

const line = z.looseObject({
  answer: z.json().optional(),
  tokens: z.object({ in: z.int(), out: z.int() }).optional(),
  failureClass: z.string().optional(),
  message: z.string().optional(),
});

/** Opens the cluster for each question: a plan is asked for seldom, and takes long. */
export function createAskModel({ place, io, config }: Parts): AskModel {
  return async (question, signal) => {
    const log = openLogFile(place.home, logLevelOf(io.env, config.logging.level), { process: "plan" });
    const folder = mkdtempSync(join(place.home, "ask-"));
    try {
      writeFileSync(join(folder, "question.txt"), question.text);
      await using cluster = await openCluster(place, log.logger);
      const worker = cluster.isEmbedded ? new LocalWorker(cluster, workerSettings(config, {})) : undefined;
      try {
        await worker?.ensure();
        return await answerOf(cluster, { ...question, folder, signal });
      } finally {
        await worker?.stop(signal.aborted);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
      log.flush();
    }
  };
}

interface Question extends ModelQuestion {
  readonly folder: string;
  readonly signal: AbortSignal;
}

async function answerOf({ client }: Cluster, { model, answer, folder, signal }: Question): Promise<ModelAnswer> {
  const output = join(folder, "answer");
  const { run } = await client.run({
    executor: "infer",
    command: [model],
    input: [join(folder, "question.txt")],
    output,
    answer,
    name: "a planner's question",
  });
  try {
    await client.wait(run.id, signal);
  } catch (error) {
    if (signal.aborted) await client.cancel(run.id, "the planner's time is over");
    throw error;
  }
  const [first = ""] = readFileSync(join(output, "results.jsonl"), "utf8").split("\n");
  const { answer: said, tokens, failureClass, message } = line.parse(JSON.parse(first));
  if (said !== undefined) {
    const used = tokens === undefined ? undefined : { inputTokens: tokens.in, outputTokens: tokens.out };
    return { kind: "answered", text: JSON.stringify(said), tokens: used };
  }
  if (failureClass === "budget" && message !== undefined) return { kind: "cut", message };
  throw new InfrastructureError(`the model gave no answer: ${message ?? "no reason is known"}`);
}
