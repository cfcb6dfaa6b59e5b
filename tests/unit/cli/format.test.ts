import { describe, expect, test } from "vitest";
import { formatCommand } from "../../../src/contract/command-text.ts";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatRate,
  formatTable,
  plural,
  truncate,
} from "../../../src/cli/format.ts";

describe("figures for people", () => {
  test.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1 KiB"],
    [1536, "1.5 KiB"],
    [1024 ** 2 - 1, "1 MiB"],
    [120 * 1024 ** 2, "120 MiB"],
    [5 * 1024 ** 4, "5 TiB"],
  ])("%d bytes are %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  test.each([
    [0, "0 ms"],
    [0.4, "under 1 ms"],
    [999.4, "999 ms"],
    [999.6, "1 s"],
    [1_440, "1.4 s"],
    [59_940, "59.9 s"],
    [59_960, "1 min 00 s"],
    [125_000, "2 min 05 s"],
    [3_599_600, "1 h 00 min"],
    [3_720_000, "1 h 02 min"],
    [273_600_000, "3 d 04 h"],
  ])("%d ms are %s", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  test("counts, rates and plurals read as a person writes them", () => {
    expect(formatCount(1_234_567)).toBe("1,234,567");
    expect([625.4, 3.21, 0.2].map(formatRate)).toEqual(["625/s", "3.2/s", "12/min"]);
    expect([plural(1, "file"), plural(2_000, "file")]).toEqual(["1 file", "2,000 files"]);
  });

  test("a command can be pasted into a shell", () => {
    expect(formatCommand(["/bin/sh", "-c", "it's", "{input}", "a\nb", "$HOME"])).toBe(
      "/bin/sh -c 'it'\\''s' {input} $'a\\x0ab' '$HOME'",
    );
  });

  test("a table aligns figures to the right and leaves no spaces at the end", () => {
    expect(
      formatTable(
        [
          ["a", "1", "x"],
          ["bbb", "22", ""],
        ],
        [1],
      ),
    ).toEqual(["a     1  x", "bbb  22"]);
    expect(truncate("abcdef", 4)).toBe("abc…");
  });
});
