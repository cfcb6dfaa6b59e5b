import { describe, expect, onTestFinished, test } from "vitest";
import { readSecretFiles } from "../../../src/cli/secret-files.ts";
import { Scratch } from "../../support/scratch.ts";

function scratchFolder(): Scratch {
  const scratch = new Scratch();
  onTestFinished(() => {
    scratch[Symbol.dispose]();
  });
  return scratch;
}

describe("readSecretFiles", () => {
  test("takes the value from the file, without the line break at its end", () => {
    const scratch = scratchFolder();
    const url = scratch.file("redis-url", "redis://headroom:a b@redis:6379\n");
    const token = scratch.file("token", "two\nlines");
    const env = readSecretFiles({
      HOME: "/root",
      HEADROOM_REDIS_URL_FILE: url,
      HEADROOM_BOARD_TOKEN_FILE: token,
      HEADROOM_STORE_URL: "postgres://db/headroom",
    });
    expect(env).toMatchObject({
      HOME: "/root",
      HEADROOM_REDIS_URL: "redis://headroom:a b@redis:6379",
      HEADROOM_BOARD_TOKEN: "two\nlines",
      HEADROOM_STORE_URL: "postgres://db/headroom",
    });
  });

  test("tells every file that is missing or empty and every secret that is given twice, and no secret", () => {
    const scratch = scratchFolder();
    const empty = scratch.file("empty", "\n");
    const read = () =>
      readSecretFiles({
        HEADROOM_REDIS_URL_FILE: "/nonexistent/url",
        HEADROOM_STORE_URL_FILE: empty,
        HEADROOM_BOARD_TOKEN_FILE: scratch.file("token", "file-secret"),
        HEADROOM_BOARD_TOKEN: "secret-of-the-variable",
      });
    expect(read).toThrow(/HEADROOM_REDIS_URL_FILE: expected a file at "\/nonexistent\/url".*ENOENT/);
    expect(read).toThrow(/HEADROOM_STORE_URL_FILE: expected .*, found an empty one/);
    expect(read).toThrow("HEADROOM_BOARD_TOKEN_FILE: expected it or HEADROOM_BOARD_TOKEN, found both");
    expect(read).not.toThrow(/secret-of-the-variable|file-secret/);
  });

  test("takes a folder for a fault, as the other kinds", () => {
    const scratch = scratchFolder();
    expect(() => readSecretFiles({ HEADROOM_PRODUCER_TOKEN_FILE: scratch.path })).toThrow(/EISDIR/);
  });
});
