/**
 * Calls code that is not ours for a limited time: a loop without an end is broken off, so that it cannot hold the event
 * loop that renews the locks of running jobs. It costs a tenth of a millisecond, and works for what does not wait.
 */
import { Script } from "node:vm";

const KEY = Symbol.for("headroom.guarded");
const script = new Script(`globalThis[Symbol.for("headroom.guarded")]()`);
const holder = globalThis as { [KEY]?: () => void };

/** What `call` returns. @throws what it throws, or that it took longer than `limitMs` */
export function callWithin<T>(limitMs: number, call: () => T): T {
  const answer: T[] = [];
  holder[KEY] = () => {
    answer.push(call());
  };
  try {
    script.runInThisContext({ timeout: limitMs, displayErrors: false });
  } catch (error) {
    const isLate = (error as NodeJS.ErrnoException).code === "ERR_SCRIPT_EXECUTION_TIMEOUT";
    throw isLate ? new Error(`expected an answer within ${limitMs} ms, found none`, { cause: error }) : error;
  } finally {
    Reflect.deleteProperty(holder, KEY);
  }
  return answer[0] as T;
}
