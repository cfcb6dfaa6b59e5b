/** What a command talks to when nobody listens. */
import { PassThrough } from "node:stream";
import type { Io } from "../../src/cli/io.ts";

export function quietIo(cwd: string, env: Io["env"] = {}): Io {
  return { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough(), env, cwd };
}
