/**
 * Writes the ONNX file of models/extract-llama from the weights that PyTorch trained, and the digests in its manifest.
 *
 *     node --import ./scripts/ts-loader.js scripts/models/extract-llama.ts
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadLlamaConfig } from "./llama/config.ts";
import { exportDecoder } from "./llama/export.ts";
import { loadSafetensors } from "./llama/safetensors.ts";
import { pinFiles } from "./pin.ts";

const folder = fileURLToPath(new URL("../../models/extract-llama/", import.meta.url));
const weights = loadSafetensors(`${folder}model.safetensors`);
const config = loadLlamaConfig(`${folder}config.json`);
writeFileSync(`${folder}model.onnx`, exportDecoder(weights, config, { attention: "plain", logits: "last" }));
pinFiles(folder);
