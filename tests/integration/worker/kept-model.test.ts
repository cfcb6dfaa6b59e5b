/** A run keeps to the model that it began with, also where nobody named a digest. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { startFlowIntake } from "../../support/flow-intake.ts";
import { modelFolder, pickyManifest, pickyModel } from "../../support/tiny-onnx.ts";

const FILES = 200;

test("a model that changes in the middle of a run over HTTP is refused until somebody resumes the run", async () => {
  await using intake = await startFlowIntake({}, 0);
  const { cluster } = intake;
  const { scratch } = cluster;
  const model = modelFolder(scratch, "model", pickyModel(), pickyManifest);
  for (let at = 0; at < FILES; at += 1) scratch.file(`in/f${at}`, Buffer.from([1]));
  const first = await cluster.addWorker("first");
  const started = await intake.ask("POST /v1/runs", {
    body: {
      ...{ executor: "infer", command: [model], input: join(scratch.path, "in") },
      ...{ output: intake.folder, chunk: { maxFiles: 1 } },
    },
  });
  const id = String(started.body["id"]);
  const done = async () => (await cluster.client.status(id)).progress.doneFiles;
  await expect.poll(done, { interval: 1, timeout: 20_000 }).toBeGreaterThan(0);
  await first.stop();
  modelFolder(scratch, "model", pickyModel(), { ...pickyManifest, labels: ["zero", "other"] });
  await cluster.addWorker("second");
  const { rows } = await cluster.ended(id);
  const refused = rows.filter(({ outcome }) => outcome === "failed");
  expect(refused.length).toBeGreaterThan(0);
  for (const { failureClass, message } of refused) {
    expect(failureClass).toBe("policy");
    expect(message).toMatch(
      /^expected the model .*\/model as it was when the run began, with SHA-256 [0-9a-f]{64}, found [0-9a-f]{64}$/,
    );
  }
  const kept = rows.filter(({ outcome }) => outcome === "succeeded");
  expect(kept.length).toBe(FILES - refused.length);
  expect(new Set(kept.map(({ inference }) => inference?.label))).toEqual(new Set(["one"]));
  await cluster.client.resume(id, {});
  const again = await cluster.ended(id);
  expect(new Set(again.rows.map(({ inference }) => inference?.label))).toEqual(new Set(["other"]));
});
