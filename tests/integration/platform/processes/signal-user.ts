/** A process under runUntilSignal whose one service does as its argument says. */
import { InfrastructureError } from "../../../../src/contract/errors.ts";
import { createLogger } from "../../../../src/platform/logger.ts";
import { ServiceGroup, type Service } from "../../../../src/platform/lifecycle.ts";
import { runUntilSignal } from "../../../../src/platform/run.ts";

const [behaviour = "clean"] = process.argv.slice(2);
const never = () => new Promise<void>(() => undefined);

const service: Service = {
  start: async () => {
    // Something that keeps the process alive, as a server would.
    setInterval(() => undefined, 60_000);
    if (behaviour === "fails-to-start") throw new InfrastructureError("expected redis, found none");
    if (behaviour === "slow-start") {
      console.log("start has begun");
      await never();
    }
    if (behaviour === "throws-later") {
      setImmediate(() => {
        throw new Error("nobody caught this");
      });
    }
    if (behaviour === "rejects-later") void Promise.reject(new Error("nobody awaited this"));
  },
  stop: async () => {
    console.log("service stops");
    if (behaviour === "leaves-work") throw new Error("two jobs left behind");
    if (behaviour === "hangs") await never();
  },
};
console.log("process is up");
await runUntilSignal(new ServiceGroup([service]), createLogger("info", {}), { stopMs: 200 });
