/**
 * The filter of system calls that shut-in processes run under: a program for the kernel's packet filter (classic BPF, as
 * `man 2 seccomp` describes it) that bubblewrap loads last. It lets everything through but what no program over files needs
 * and what reaches the kernel's rarely used parts, other processes, or what no namespace divides (keys, VM sockets).
 */

export type FilteredArch = "x64" | "arm64";

/** Of the kernel: `AUDIT_ARCH_*`, and the numbers of its calls in each table (asm/unistd_64.h, asm-generic/unistd.h). */
const tables: Readonly<
  Record<FilteredArch, { readonly audit: number; readonly calls: Readonly<Record<string, number>> }>
> = {
  x64: {
    audit: 0xc000003e,
    calls: {
      ...{ ptrace: 101, syslog: 103, modify_ldt: 154, pivot_root: 155, chroot: 161, acct: 163, mount: 165 },
      ...{ umount2: 166, swapon: 167, swapoff: 168, reboot: 169, init_module: 175, delete_module: 176, quotactl: 179 },
      ...{ lookup_dcookie: 212, kexec_load: 246, add_key: 248, request_key: 249, keyctl: 250, unshare: 272 },
      ...{ perf_event_open: 298, fanotify_init: 300, name_to_handle_at: 303, open_by_handle_at: 304, setns: 308 },
      ...{ process_vm_readv: 310, process_vm_writev: 311, kcmp: 312, finit_module: 313, kexec_file_load: 320 },
      ...{ bpf: 321, userfaultfd: 323, clone: 56, ioctl: 16, socket: 41 },
    },
  },
  arm64: {
    audit: 0xc00000b7,
    calls: {
      ...{ ptrace: 117, syslog: 116, pivot_root: 41, chroot: 51, acct: 89, mount: 40 },
      ...{ umount2: 39, swapon: 224, swapoff: 225, reboot: 142, init_module: 105, delete_module: 106, quotactl: 60 },
      ...{ lookup_dcookie: 18, kexec_load: 104, add_key: 217, request_key: 218, keyctl: 219, unshare: 97 },
      ...{ perf_event_open: 241, fanotify_init: 262, name_to_handle_at: 264, open_by_handle_at: 265, setns: 268 },
      ...{ process_vm_readv: 270, process_vm_writev: 271, kcmp: 272, finit_module: 273, kexec_file_load: 294 },
      ...{ bpf: 280, userfaultfd: 282, clone: 220, ioctl: 29, socket: 198 },
    },
  },
};

/** The same numbers in every table: io_uring, the newer calls to mount, descriptors of other processes. */
const common = {
  ...{ io_uring_enter: 426, io_uring_register: 427, open_tree: 428, move_mount: 429, fsopen: 430, fsconfig: 431 },
  ...{ fsmount: 432, fspick: 433, pidfd_getfd: 438, mount_setattr: 442 },
};
/** Programs ask for these first, and do without where there is no such call: their arguments lie in memory, out of sight. */
const absent = { io_uring_setup: 425, clone3: 435 };

/** Of `clone`: a namespace of its own (`CLONE_NEW*`). */
const NEW_NAMESPACES = 0x7e02_0000;
/** Of `ioctl`: to type into the terminal that somebody else reads. */
const terminal = { TIOCSTI: 0x5412, TIOCLINUX: 0x541c };
/** Of `socket`: the kernel's ciphers, and the way to the host of a virtual machine, which no network namespace closes. */
const families = { AF_ALG: 38, AF_VSOCK: 40 };
/** The second table of calls of x64 begins there. */
const X32 = 0x4000_0000;

const ALLOW = 0x7fff_0000;
const KILL_PROCESS = 0x8000_0000;
const refuse = (errno: number): number => 0x0005_0000 | errno;
const [EPERM, ENOSYS] = [1, 38];

const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_AT_LEAST = 0x35;
const JUMP_ANY_BIT = 0x45;
const RETURN = 0x06;
/** Where the kernel puts the number, the table and the lower halves of the arguments (`struct seccomp_data`). */
const [NUMBER, ARCH] = [0, 4];
const argument = (at: number): number => 16 + 8 * at;

interface Step {
  readonly code: number;
  readonly k: number;
  /** So many steps are left out when it is so, and when it is not. */
  readonly yes?: number;
  readonly no?: number;
}

/** The program, in the kernel's own layout of this machine's byte order (`struct sock_filter`); 8 bytes a step. */
export function systemCallFilter(arch: FilteredArch): Buffer {
  const { audit, calls } = tables[arch];
  const { clone = 0, ioctl = 0, socket = 0, ...refused } = calls;
  const steps: readonly Step[] = [
    { code: LOAD, k: ARCH },
    // A process that speaks another table, as 32-bit programs do, would get past the numbers of this one.
    { code: JUMP_EQUAL, k: audit, yes: 1 },
    { code: RETURN, k: KILL_PROCESS },
    { code: LOAD, k: NUMBER },
    ...(arch === "x64" ? unless(JUMP_AT_LEAST, X32, refuse(ENOSYS)) : []),
    ...Object.values({ ...refused, ...common }).flatMap((number) => unless(JUMP_EQUAL, number, refuse(EPERM))),
    ...Object.values(absent).flatMap((number) => unless(JUMP_EQUAL, number, refuse(ENOSYS))),
    ...byArgument(clone, 0, unless(JUMP_ANY_BIT, NEW_NAMESPACES, refuse(EPERM))),
    ...byArgument(ioctl, 1, refusing(terminal)),
    ...byArgument(socket, 0, refusing(families)),
    { code: RETURN, k: ALLOW },
  ];
  const program = Buffer.alloc(8 * steps.length);
  for (const [at, { code, k, yes = 0, no = 0 }] of steps.entries()) {
    program.writeUInt16LE(code, 8 * at);
    program.writeUInt8(yes, 8 * at + 2);
    program.writeUInt8(no, 8 * at + 3);
    program.writeUInt32LE(k, 8 * at + 4);
  }
  return program;
}

function unless(code: number, k: number, answer: number): Step[] {
  return [
    { code, k, no: 1 },
    { code: RETURN, k: answer },
  ];
}

function refusing(values: Readonly<Record<string, number>>): Step[] {
  return Object.values(values).flatMap((value) => unless(JUMP_EQUAL, value, refuse(EPERM)));
}

/** What is decided by an argument is decided there: the number is not looked at again. */
function byArgument(number: number, at: number, decide: readonly Step[]): Step[] {
  const block = [{ code: LOAD, k: argument(at) }, ...decide, { code: RETURN, k: ALLOW }];
  return [{ code: JUMP_EQUAL, k: number, no: block.length }, ...block];
}
