import { format } from "prettier";
import { expect, test } from "vitest";
import { configJsonSchema } from "../../src/contract/config-json-schema.ts";
import { flowJsonSchema } from "../../src/contract/flow-json-schema.ts";
import { manifestJsonSchema } from "../../src/contract/model-manifest.ts";

// To write the file anew: npx vitest run tests/parity/config-schema.test.ts --update
test("docs/config.schema.json is the schema of the code", async () => {
  const text = await format(JSON.stringify(configJsonSchema()), { parser: "json", printWidth: 120 });
  await expect(text).toMatchFileSnapshot("../../docs/config.schema.json");
});

test("docs/model.schema.json is the schema of the code", async () => {
  const text = await format(JSON.stringify(manifestJsonSchema()), { parser: "json", printWidth: 120 });
  await expect(text).toMatchFileSnapshot("../../docs/model.schema.json");
});

test("docs/flow.schema.json is the schema of the code", async () => {
  const text = await format(JSON.stringify(flowJsonSchema()), { parser: "json", printWidth: 120 });
  await expect(text).toMatchFileSnapshot("../../docs/flow.schema.json");
});
