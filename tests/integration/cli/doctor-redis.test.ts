/** What `doctor` says of a Redis that is there and cannot be used as it is named. */
import { PassThrough } from "node:stream";
import { expect, onTestFinished, test } from "vitest";
import { main } from "../../../src/cli/main.ts";
import { startRedis } from "../../support/redis-server.ts";
import { makeTempFolder } from "../../support/temp-folder.ts";

async function doctor(redis: string): Promise<{ readonly status: string; readonly fix: string | null }[]> {
  const home = makeTempFolder();
  onTestFinished(() => {
    home[Symbol.dispose]();
  });
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const io = { stdin: new PassThrough(), stdout, stderr, env: { PATH: process.env["PATH"] }, cwd: home.path };
  await main(["doctor", "--json", "--home", home.path, "--redis", redis], io);
  const { checks } = JSON.parse(String(stdout.read())) as { checks: { check: string; status: string; fix: string }[] };
  return checks.filter(({ check }) => check.startsWith("redis"));
}

test("names what mends a password that is missing or wrong, and a database that is not there", async () => {
  await using server = await startRedis({ password: "right" });
  const socket = server.url.replace(/^unix:\/\/.*@/, "unix://");
  const wrong = server.url.replace(":right@", ":wrong@");
  const fixes = [
    [socket, "name a user and a password in --redis or HEADROOM_REDIS_URL: redis://user:password@host:port"],
    [wrong, "correct the user and the password in --redis or HEADROOM_REDIS_URL"],
    [
      `${server.url}?db=99`,
      "name another database in --redis or HEADROOM_REDIS_URL, or raise databases in its redis.conf",
    ],
  ] as const;
  for (const [url, fix] of fixes) expect(await doctor(url)).toMatchObject([{ status: "fail", fix }]);
  // The command is in the message.
  expect((await doctor(server.url)).filter(({ status }) => status === "warn")).toMatchObject([
    { fix: null },
    { fix: null },
  ]);
});
