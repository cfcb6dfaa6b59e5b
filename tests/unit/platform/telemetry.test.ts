import { describe, expect, test } from "vitest";
import { isTraceId, runSpanId } from "../../../src/platform/spans.ts";
import { isTracing } from "../../../src/platform/telemetry.ts";

describe("traces", () => {
  test("are on where a collector is named, and nobody turns them off", () => {
    const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" };
    expect(isTracing({})).toBe(false);
    expect(isTracing({ OTEL_EXPORTER_OTLP_ENDPOINT: " " })).toBe(false);
    expect(isTracing(endpoint)).toBe(true);
    expect(isTracing({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://collector:4318/v1/traces" })).toBe(true);
    expect(isTracing({ ...endpoint, OTEL_SDK_DISABLED: "true" })).toBe(false);
    expect(isTracing({ ...endpoint, OTEL_TRACES_EXPORTER: "none" })).toBe(false);
  });

  test("take no id that is none", () => {
    expect(isTraceId("0123456789abcdef0123456789abcdef")).toBe(true);
    for (const id of [undefined, "", "0".repeat(32), "run-7", "0123456789ABCDEF0123456789ABCDEF"]) {
      expect(isTraceId(id)).toBe(false);
    }
  });

  test("have a span of the run that follows from their id, and is never nothing", () => {
    expect(runSpanId("0123456789abcdeffedcba9876543210")).toBe("fedcba9876543210");
    expect(runSpanId(`0123456789abcdef${"0".repeat(16)}`)).toMatch(/[1-9]/);
  });
});
