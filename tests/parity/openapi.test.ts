import { join } from "node:path";
import { format } from "prettier";
import { describe, expect, test } from "vitest";
import { intakeRoutes } from "../../src/producer/routes.ts";
import { openApiDocument } from "../../src/producer/openapi.ts";

const committed = join(import.meta.dirname, "../../docs/openapi.json");

describe("OpenAPI document", () => {
  test("the committed copy is what the intake serves; `npx vitest run --project parity -u` writes it anew", async () => {
    const text = await format(JSON.stringify(openApiDocument()), { parser: "json", printWidth: 120 });
    await expect(text).toMatchFileSnapshot(committed);
  });

  test("names every route of the intake and no other", () => {
    // Only the table is looked at: no handler runs.
    const routes = intakeRoutes({} as Parameters<typeof intakeRoutes>[0], 1)
      .filter((route) => route.path !== "/v1/openapi.json")
      .map((route) => `${route.method} ${route.path.replaceAll(/:(\w+)/g, "{$1}")}`);
    const { paths } = openApiDocument() as { paths: Record<string, Record<string, unknown>> };
    const documented = Object.entries(paths).flatMap(([path, item]) =>
      ["get", "post", "patch", "delete"].filter((method) => method in item).map((method) => `${method} ${path}`),
    );
    expect(documented.toSorted()).toEqual(routes.toSorted());
  });

  test("refers only to what it defines", () => {
    const document: unknown = openApiDocument();
    const pointers = [...JSON.stringify(document).matchAll(/"\$ref":"#([^"]*)"/g)].map(([, pointer = ""]) => pointer);
    expect(pointers.length).toBeGreaterThan(50);
    const unknown = pointers.filter((pointer) => {
      const parts = pointer.split("/").slice(1);
      return (
        parts.reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], document) === undefined
      );
    });
    expect(unknown).toEqual([]);
  });
});
