/** A process that uses the embedded Redis of a home until it is told to end: `embedded-user.ts HOME`. */
import { startEmbeddedRedis } from "../../../../src/platform/embedded-redis.ts";
import { createLogger } from "../../../../src/platform/logger.ts";

const [home = ""] = process.argv.slice(2);
try {
  const embedded = await startEmbeddedRedis({ home, logger: createLogger("info", {}) });
  const alive = setInterval(() => undefined, 60_000);
  process.once("SIGTERM", () => {
    clearInterval(alive);
    void embedded.stop().then(() => {
      console.log("left");
    });
  });
  console.log(`ready ${JSON.stringify({ url: embedded.url, pid: embedded.pid })}`);
} catch (error) {
  console.log(`refused ${String(error)}`);
  process.exitCode = 3;
}
