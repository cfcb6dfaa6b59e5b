/** The filter is run as the kernel runs it, by an interpreter of the few instructions that it may have. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { systemCallFilter, type FilteredArch } from "../../scripts/system-calls/filter.ts";

interface SystemCall {
  readonly audit: number;
  readonly number: number;
  readonly args?: readonly number[];
}

/** What the kernel does with a call: `man 2 seccomp`. */
function answer(program: Buffer, { audit, number, args = [] }: SystemCall): string {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(number, 0);
  data.writeUInt32LE(audit, 4);
  for (const [at, value] of args.entries()) data.writeUInt32LE(value, 16 + 8 * at);
  let loaded = 0;
  for (let at = 0; at < program.length; at += 8) {
    const [code, yes, no, k] = [
      program.readUInt16LE(at),
      program.readUInt8(at + 2),
      program.readUInt8(at + 3),
      program.readUInt32LE(at + 4),
    ];
    const skip = (isSo: boolean) => (at += 8 * (isSo ? yes : no));
    if (code === 0x20) loaded = data.readUInt32LE(k);
    else if (code === 0x15) skip(loaded === k);
    else if (code === 0x35) skip(loaded >= k);
    else if (code === 0x45) skip((loaded & k) !== 0);
    else if (code === 0x06) return k === 0x7fff0000 ? "allow" : k === 0x80000000 ? "kill" : `errno ${k - 0x50000}`;
    else throw new Error(`expected a known instruction at ${at}, found ${code}`);
  }
  throw new Error("expected an answer, found the end of the program");
}

const audits = { x64: 0xc000003e, arm64: 0xc00000b7 };
const [EPERM, ENOSYS] = ["errno 1", "errno 38"];

const cases: Readonly<Record<FilteredArch, readonly (readonly [string, number, readonly number[], string])[]>> = {
  x64: [
    ...(["read", "write", "open"] as const).map((name, number) => [name, number, [], "allow"] as const),
    ["execve", 59, [], "allow"],
    ["mount", 165, [], EPERM],
    ["keyctl", 250, [], EPERM],
    ["bpf", 321, [], EPERM],
    ["clone of a process", 56, [0x11], "allow"],
    ["clone of a thread", 56, [0x3d0f00], "allow"],
    ["clone into a user namespace", 56, [0x10000011], EPERM],
    ["clone into a mount namespace", 56, [0x20011], EPERM],
    ["clone3", 435, [], ENOSYS],
    ["io_uring_setup", 425, [], ENOSYS],
    ["ioctl that asks for the size of a window", 16, [0, 0x5413], "allow"],
    ["ioctl that types", 16, [0, 0x5412], EPERM],
    ["socket of the network", 41, [2], "allow"],
    ["socket to the host", 41, [40], EPERM],
    ["a call of the second table", 0x40000000, [], ENOSYS],
  ],
  arm64: [
    ["read", 63, [], "allow"],
    ["execve", 221, [], "allow"],
    ["mount", 40, [], EPERM],
    ["ptrace", 117, [], EPERM],
    ["clone of a process", 220, [0x11], "allow"],
    ["clone into a network namespace", 220, [0x40000011], EPERM],
    ["ioctl that types", 29, [0, 0x5412], EPERM],
    ["socket to the host", 198, [40], EPERM],
    ["pidfd_getfd", 438, [], EPERM],
  ],
};

describe.each(["x64", "arm64"] as const)("the filter of %s", (arch) => {
  const program = systemCallFilter(arch);

  test.each(cases[arch])("%s (%i, %j): %s", (_name, number, args, expected) => {
    expect(answer(program, { audit: audits[arch], number, args })).toBe(expected);
  });

  test("ends a process that speaks another table", () => {
    expect(answer(program, { audit: 0x40000003, number: 4 })).toBe("kill");
  });

  test("is what is shipped", () => {
    const file = new URL(`../../src/worker/executor/system-calls.${arch}.bpf`, import.meta.url);
    expect(readFileSync(file).equals(program)).toBe(true);
  });
});
