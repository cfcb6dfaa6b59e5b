/** A process that takes nearly all memory of a card, as another program would that shares it. Needs python3 alone. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";

/** Through the driver itself, which is wherever a card is. Ends when its standard input does. */
const HOG = `
import ctypes, sys
cuda = ctypes.CDLL("libcuda.so.1")
def must(code):
    if code: sys.exit("CUDA error %d" % code)
must(cuda.cuInit(0))
device, context = ctypes.c_int(), ctypes.c_void_p()
must(cuda.cuDeviceGet(ctypes.byref(device), 0))
must(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device))
must(cuda.cuCtxSetCurrent(context))
leave = int(sys.argv[1])
step = 1 << 30
taken = []
while step >= 1 << 24:
    free, total, at = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_uint64()
    must(cuda.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)))
    if free.value - leave < step or cuda.cuMemAlloc_v2(ctypes.byref(at), ctypes.c_size_t(step)):
        step >>= 1
print(free.value, flush=True)
sys.stdin.read()
`;

export class CardHog implements AsyncDisposable {
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  /** Leaves so many bytes of the first card free, give or take 16 MiB. @throws when the driver refuses */
  static async start(leaveBytes: number): Promise<CardHog> {
    const child = spawn("python3", ["-c", HOG, String(leaveBytes)], { stdio: ["pipe", "pipe", "pipe"] });
    let log = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
    const told = once(child.stdout, "data").then(() => true);
    const ended = once(child, "exit").then(() => false);
    if (await Promise.race([told, ended])) return new CardHog(child);
    throw new Error(`expected a process that fills the card, found: ${log.trim()}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#process, "exit");
    this.#process.stdin?.end();
    await gone;
  }
}
