/** The import rules of the house: pages point down only. */
const only = (name, from, allowed) => ({
  name,
  severity: "error",
  from: { path: `^src/${from}/` },
  to: { path: "^src/", pathNot: allowed.map((folder) => `^src/${folder}/`) },
});
const oneImporter = (name, module, file) => ({
  name,
  severity: "error",
  from: { path: "^src/", pathNot: file },
  to: { path: module },
});
module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "no-orphans",
      severity: "error",
      from: { orphan: true, pathNot: ["main\\.ts$", "\\.d\\.ts$", "src/producer/index\\.ts$"] },
      to: {},
    },
    only("contract-imports-itself", "contract", ["contract"]),
    only("platform-imports-contract", "platform", ["platform", "contract"]),
    only("store-imports-contract", "store", ["store", "contract"]),
    only("producer-stands-alone", "producer", ["producer", "store", "platform", "contract"]),
    only("worker-stands-alone", "worker", ["worker", "store", "platform", "contract"]),
    only("scheduler-stands-alone", "scheduler", ["scheduler", "store", "platform", "contract"]),
    only("board-stands-alone", "board", ["board", "store", "platform", "contract"]),
    { name: "src-never-imports-tests", severity: "error", from: { path: "^src/" }, to: { path: "^(tests|bench)/" } },
    oneImporter(
      "one-importer-of-systeminformation",
      "node_modules/systeminformation",
      "^src/worker/governor/inventory\\.ts$",
    ),
    oneImporter("one-importer-of-onnxruntime", "node_modules/onnxruntime-", "^src/worker/inference/onnx\\.ts$"),
    oneImporter(
      "one-importer-of-the-image-decoder",
      "node_modules/@napi-rs/image",
      "^src/worker/inference/image/decode-image\\.ts$",
    ),
    oneImporter("one-importer-of-opentelemetry", "node_modules/@opentelemetry/", "^src/platform/otlp-spans\\.ts$"),
    oneImporter("one-importer-of-pg", "node_modules/pg/", "^src/store/postgres\\.ts$"),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { extensions: [".ts", ".js", ".json"] },
    doNotFollow: { path: "node_modules" },
  },
};
