import { expect, test } from "vitest";
import type { Allow } from "../../../../src/contract/allow.ts";
import { parseRunSpec } from "../../../../src/contract/run-request.ts";
import { enclosureOf, sandboxFailure } from "../../../../src/worker/executor/sandbox.ts";

const spec = { command: ["/bin/true"], input: { kind: "none" }, output: { root: "/o", from: "none" } };

/** The level, and whether there is a network; none: not shut in. */
function seen(asked: object, allow: Allow = {}): string {
  const enclosure = enclosureOf(parseRunSpec({ ...spec, ...asked }), allow);
  return enclosure === undefined ? "open" : `${enclosure.level} ${enclosure.network ? "network" : "alone"}`;
}

test("the network is taken from those who may not have it, at every level", () => {
  expect([seen({}), seen({ network: true }), seen({ sandbox: "files" })]).toEqual(["open", "open", "files network"]);
  expect([seen({ sandbox: "strict" }), seen({ sandbox: "strict", network: true })]).toEqual([
    "strict alone",
    "strict network",
  ]);
  for (const level of ["none", "files", "strict"]) {
    expect(seen({ sandbox: level, network: false })).toBe(`${level} alone`);
    for (const network of [true, false, undefined])
      expect(seen({ sandbox: level, ...(network !== undefined && { network }) }, { network: false })).toBe(
        `${level} alone`,
      );
  }
  expect(seen({ network: false }, { sandbox: "files", network: true })).toBe("files alone");
});

test("a worker that cannot do it says which", () => {
  expect(sandboxFailure({ level: "none" }, "there is no /usr/bin/bwrap")).toEqual({
    class: "policy",
    message: "expected a worker that can take the network away (bubblewrap), found none: there is no /usr/bin/bwrap",
  });
  expect(sandboxFailure({ level: "files" }, "no")?.message).toBe(
    "expected a worker that can shut processes in, found one that cannot: no",
  );
});
