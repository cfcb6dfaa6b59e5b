/** The task of a model, opened. */
import type { Provider } from "../../contract/model-manifest.ts";
import type { ModelFolder } from "../../platform/models/model-folder.ts";
import { GenerateTask } from "./generate-task.ts";
import type { InputFiles } from "./input-file.ts";
import type { ModelTask } from "./model-task.ts";
import { OnnxTask } from "./onnx-task.ts";

/** @throws {ModelRefused} when no provider takes the model, or it does not fit its manifest */
export function openTask(model: ModelFolder, providers: readonly Provider[], files: InputFiles): Promise<ModelTask> {
  const { manifest } = model;
  if (manifest.task === "generate") return GenerateTask.open({ ...model, manifest }, providers, files);
  return OnnxTask.open({ ...model, manifest }, providers, files);
}
