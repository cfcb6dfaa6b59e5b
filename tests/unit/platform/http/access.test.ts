import { describe, expect, test } from "vitest";
import {
  BacklogFullError,
  ConflictError,
  InfrastructureError,
  InvalidInputError,
} from "../../../../src/contract/errors.ts";
import { isLoopback, isSameSecret } from "../../../../src/platform/http/access.ts";
import { jsonPointer, problemOf } from "../../../../src/platform/http/problem.ts";
import { traceIdOf } from "../../../../src/platform/http/request-context.ts";

describe("access to a port", () => {
  test("loopback is what only this machine reaches", () => {
    for (const host of ["127.0.0.1", "127.8.9.1", "localhost", "::1", "[::1]", "LOCALHOST"]) {
      expect([host, isLoopback(host)]).toEqual([host, true]);
    }
    for (const host of ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.evil.example", "localhost.evil.example", ""]) {
      expect([host, isLoopback(host)]).toEqual([host, false]);
    }
  });

  test("secrets of any length compare", () => {
    expect([isSameSecret("a", "a"), isSameSecret("a", "ab"), isSameSecret("", "a")]).toEqual([true, false, false]);
  });

  test("a trace id comes from a traceparent header that is one", () => {
    const id = "4bf92f3577b34da6a3ce929d0e0e4736";
    expect(traceIdOf(`00-${id}-00f067aa0ba902b7-01`)).toBe(id);
    expect(traceIdOf(`cc-${id}-00f067aa0ba902b7-01-more`)).toBe(id);
    for (const header of [
      undefined,
      "",
      id,
      `ff-${id}-00f067aa0ba902b7-01`,
      `00-${"0".repeat(32)}-00f067aa0ba902b7-01`,
    ]) {
      expect(traceIdOf(header)).toBeUndefined();
    }
  });
});

describe("problems", () => {
  test("each error class has its status and headers", () => {
    const told = (error: unknown) => {
      const { problem, headers } = problemOf(error);
      return [problem.status, problem.code, headers["Retry-After"]];
    };
    expect(told(new BacklogFullError("full", 7))).toEqual([429, "ERR_BACKLOG_FULL", "7"]);
    expect(told(new ConflictError("held"))).toEqual([409, "ERR_CONFLICT", undefined]);
    expect(told(new InfrastructureError("redis is down"))).toEqual([503, "ERR_INFRASTRUCTURE", "5"]);
    expect(told(new Error("secret detail"))).toEqual([500, "ERR_INTERNAL", undefined]);
    expect(JSON.stringify(problemOf(new Error("secret detail")))).not.toContain("secret");
  });

  test("faults keep their place as a pointer", () => {
    const fault = { where: "chunk.maxFiles", expected: "a number", found: "red" };
    const { problem } = problemOf(new InvalidInputError("run", [fault, { ...fault, where: "output name" }]));
    expect(problem.errors?.map((error) => error.pointer)).toEqual(["/chunk/maxFiles", "output name"]);
    expect(problem.detail).toBe("run has 2 faults");
    expect(jsonPointer(["a/b", 0, "c~d"])).toBe("/a~1b/0/c~0d");
  });
});
