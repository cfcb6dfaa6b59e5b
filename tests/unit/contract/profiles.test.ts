import { describe, expect, test } from "vitest";
import { bucketBytes, bucketOf, bucketWithin } from "../../../src/contract/profiles.ts";
import { MiB } from "../../../src/contract/resources.ts";

describe("size buckets", () => {
  const buckets = Array.from({ length: 41 }, (_, at) => at);

  test.each(buckets)("the edge of bucket %i falls into it, one byte more into the next", (bucket) => {
    expect(bucketOf(bucketBytes(bucket))).toBe(bucket);
    expect(bucketOf(bucketBytes(bucket) + 1)).toBe(bucket + 1);
  });

  test("the largest one within a limit is no larger than it", () => {
    expect(bucketWithin(bucketBytes(17))).toBe(17);
    expect(bucketWithin(bucketBytes(17) - 1)).toBe(16);
    expect(bucketWithin(429 * MiB)).toBe(17);
    expect(bucketWithin(MiB / 2)).toBe(-1);
  });
});
