/** Real processes that open one store at once. They run the built program, since Node 20 loads no TypeScript. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const openStoreUrl = new URL("../../../dist/store/open-store.js", import.meta.url);

/** Runs `body` (with `store` open) in that many processes at once; what each printed. Rejects when one fails. */
export async function inProcesses(count: number, url: string, body: string): Promise<string[]> {
  const runs = Array.from({ length: count }, () => run(process.execPath, nodeArguments(url, body)));
  return Promise.all(runs);
}

/** The same in one process that can make no file larger than so many KiB, as on a disk that is full. */
export function onFullDisk(largestKiB: number, url: string, body: string): Promise<string> {
  const limited = `ulimit -f ${largestKiB}; exec "$0" "$@"`;
  return run("bash", ["-c", limited, process.execPath, ...nodeArguments(url, body)]);
}

async function run(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args);
  return stdout;
}

function nodeArguments(url: string, body: string): string[] {
  const program = `
    import { openStore } from ${JSON.stringify(openStoreUrl.href)};
    const store = await openStore(${JSON.stringify(url)}, { warn() {} });
    ${body}
    await store.close();`;
  return ["--input-type=module", "--eval", program];
}
