/**
 * Writes the ONNX files of models/extract-llama (token by token, and with the whole loop inside for cards) from the weights that PyTorch trained, and the digests in its manifest.
 *
 *     node --import ./scripts/ts-loader.js scripts/models/extract-llama.ts
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadLlamaConfig } from "./llama/config.ts";
import { exportDecoder } from "./llama/export.ts";
import { exportLoop } from "./llama/export-loop.ts";
import { loadSafetensors } from "./llama/safetensors.ts";
import { pinFiles } from "./pin.ts";

const folder = fileURLToPath(new URL("../../models/extract-llama/", import.meta.url));
const weights = loadSafetensors(`${folder}model.safetensors`);
const config = loadLlamaConfig(`${folder}config.json`);
writeFileSync(`${folder}model.onnx`, exportDecoder(weights, config, { attention: "plain", logits: "last" }));
writeFileSync(`${folder}model.loop.onnx`, exportLoop(weights, config));
pinFiles(folder);
