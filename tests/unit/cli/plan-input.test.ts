/** What the input of a run is that takes the place of an earlier one. */
import { expect, test } from "vitest";
import type { InputSpec } from "../../../src/contract/run-spec.ts";
import { openInput } from "../../../src/cli/run/plan-input.ts";
import { quietIo } from "../../support/quiet-io.ts";

const list = (root: string): InputSpec => ({ kind: "list", root, paths: ["x"] });

/** The single file /data/sub/b at a resume of a run over this. */
async function fileAfter(earlier: InputSpec | undefined): Promise<InputSpec> {
  const parsed = { kind: "file", input: { kind: "list", root: "/data/sub" }, paths: ["b"] } as const;
  const request = {
    flags: {},
    io: quietIo("/data"),
    home: "/nowhere",
    ...(earlier && { earlier: { input: earlier } }),
  };
  return (await openInput(parsed, request)).input;
}

test("a single file is named by the root of the list before it, where it lies below that", async () => {
  expect(await fileAfter(undefined)).toEqual({ kind: "list", root: "/data/sub", paths: ["b"] });
  expect(await fileAfter(list("/data"))).toEqual({ kind: "list", root: "/data", paths: ["sub/b"] });
  expect(await fileAfter(list("/"))).toEqual({ kind: "list", root: "/", paths: ["data/sub/b"] });
  // Elsewhere, the file itself, or a folder whose name begins alike: it has a root of its own.
  for (const root of ["/other", "/data/sub/b", "/data/su"]) {
    expect(await fileAfter(list(root))).toEqual({ kind: "list", root: "/data/sub", paths: ["b"] });
  }
  const tree: InputSpec = { kind: "tree", root: "/data", include: [], exclude: [], symlinks: "skip", hidden: false };
  expect(await fileAfter(tree)).toEqual({ kind: "list", root: "/data/sub", paths: ["b"] });
});
