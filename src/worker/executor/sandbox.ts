/**
 * Shuts a process in with bubblewrap: it sees the folders of the system, read only, its own inputs, the folder of its output
 * and its scratch folder, and nothing else; it has no rights to win, and no other processes to reach.
 *
 * The process is the first of its own process namespace, and bubblewrap's only child: so what `wait4` says of it is what
 * the launcher is told, and all that it has started ends with it. It is in the process group of its launch, as any other.
 */
import { execFile, execFileSync } from "node:child_process";
import { existsSync, lstatSync, readlinkSync } from "node:fs";
import { constants } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { sandboxLevels, type Allow, type SandboxLevel } from "../../contract/allow.ts";
import { messageOf } from "../../contract/errors.ts";
import { isInside } from "../../contract/inside.ts";
import type { RunSpec } from "../../contract/run-spec.ts";
import type { Failure, ProcessEnd } from "../result/outcome.ts";
import type { WorkFolder } from "./work-folder.ts";

const BWRAP = "/usr/bin/bwrap";
/** Made by `npm run filters` for the processors that it knows. */
const filter = fileURLToPath(new URL(`system-calls.${process.arch}.bpf`, import.meta.url));
/** Whether system calls of shut-in processes are filtered on this machine. */
export const hasSystemCallFilter = existsSync(filter);
/** bubblewrap reads its filter from a descriptor that it is handed: the shell opens it, and becomes bubblewrap. */
const opener = hasSystemCallFilter ? ["/bin/sh", "-c", `exec ${BWRAP} --seccomp 9 "$@" 9<"$0"`, filter] : [BWRAP];
const DETECT_MS = 10_000;

/** What one process sees beside the system. */
export interface Places {
  readonly read: readonly string[];
  readonly write: readonly string[];
  /** Where it works, instead of in its scratch folder. */
  readonly folder?: WorkFolder | undefined;
}

/** How the processes of a chunk are shut in. */
export interface Enclosure {
  /** `none`: they see what the worker sees, and only the network is taken away. */
  readonly level: SandboxLevel;
  readonly network: boolean;
  /** What all of them may read. */
  readonly read: readonly string[];
}

/** Of two levels the one that shuts in further. */
export function strictest(one: SandboxLevel = "none", other: SandboxLevel = "none"): SandboxLevel {
  return sandboxLevels.indexOf(one) >= sandboxLevels.indexOf(other) ? one : other;
}

/**
 * How the processes of a run are shut in here; undefined: not at all. Who may not have the network by the job or by the
 * operator has none at any level; where neither says anything, `strict` alone takes it.
 */
export function enclosureOf({ sandbox, network, reads }: RunSpec, allow: Allow): Enclosure | undefined {
  const level = strictest(sandbox, allow.sandbox);
  const isRefused = network === false || allow.network === false;
  const hasNetwork = !isRefused && (level !== "strict" || network === true);
  return level === "none" && hasNetwork ? undefined : { level, network: hasNetwork, read: reads ?? [] };
}

/** The command that runs another one shut in, with `scratch` as its scratch folder, in which it works unless it has another. */
export function enclosed(argv: readonly string[], enclosure: Enclosure, own: Places, scratch: string): string[] {
  const { level, network, read } = enclosure;
  const { folder } = own;
  const cwd = folder?.path ?? scratch;
  if (level === "none") return [...withoutNetwork, "--chdir", cwd, "--", ...argv];
  const [binary = ""] = argv;
  const visible = [binary, ...read, ...own.read].filter((path) => path !== "" && !isOfSystem(path));
  // What lies in the working folder is put over it: it stays what may only be read.
  const isInWork = (path: string) => folder !== undefined && isInside(folder.path, path);
  return [
    ...base(network),
    ...visible.filter((path) => !isInWork(path)).flatMap(readOnly),
    ...(folder === undefined ? [] : [folder.writable ? "--bind" : "--ro-bind", folder.path, folder.path]),
    ...visible.filter(isInWork).flatMap(readOnly),
    ...own.write.flatMap((path) => ["--bind", path, path]),
    ...["--bind", scratch, scratch, "--chdir", cwd, "--setenv", "TMPDIR", scratch],
    // Last, so that nothing can be put between the folders that are seen.
    ...["--remount-ro", "/", "--", ...argv],
  ];
}

function readOnly(path: string): string[] {
  return ["--ro-bind-try", path, path];
}

/** bubblewrap tells the end by a signal as shells do. */
export function endBehind(end: ProcessEnd): ProcessEnd {
  if (end.kind !== "exited" || end.code <= SIGNALLED) return end;
  const signal = Object.entries(constants.signals).find(([, number]) => number === end.code - SIGNALLED)?.[0];
  return signal === undefined ? end : { kind: "signalled", signal };
}

/** Whether this machine can shut processes in; the reason why not. */
export async function sandboxFault(): Promise<string | undefined> {
  return new Promise((resolve) => {
    const [program = BWRAP, ...args] = trial();
    execFile(program, args, { timeout: DETECT_MS }, (error, _out, said) => {
      resolve(error === null ? undefined : faultOf(error, said));
    });
  });
}

let known: { readonly fault: string | undefined } | undefined;

/** The same, found out once in this thread. */
export function knownSandboxFault(): string | undefined {
  if (known === undefined) {
    try {
      const [program = BWRAP, ...args] = trial();
      execFileSync(program, args, { timeout: DETECT_MS, stdio: "pipe" });
      known = { fault: undefined };
    } catch (error) {
      const { stderr } = error as Error & { readonly stderr?: Buffer };
      known = { fault: faultOf({ message: messageOf(error) }, stderr?.toString("utf8") ?? "") };
    }
  }
  return known.fault;
}

/** Why nothing that is to be shut in is started here; null: it is. */
export function sandboxFailure({ level }: Pick<Enclosure, "level">, fault = knownSandboxFault()): Failure | null {
  if (fault === undefined) return null;
  const message =
    level === "none"
      ? `expected a worker that can take the network away (bubblewrap), found none: ${fault}`
      : `expected a worker that can shut processes in, found one that cannot: ${fault}`;
  return { class: "policy", message };
}

const SIGNALLED = 128;
/** Whose processes, beside the launcher's, nobody is. */
const NOBODY = "65534";
const TMP_BYTES = String(256 * 1024 * 1024);

const systemFolders = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt"] as const;
/** What programs commonly read there; no passwords, keys or settings of this machine. */
const systemFiles = [
  ...["ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "nsswitch.conf", "passwd", "group"],
  ...["ssl/certs", "ca-certificates", "pki/tls/certs", "fonts", "mime.types", "magic", "java-17-openjdk"],
].map((name) => `/etc/${name}`);
/** How names are found in the network. */
const networkFiles = ["/etc/resolv.conf", "/etc/hosts", "/etc/services"] as const;

/** Its end is told and cleaned up after as that of all that are shut in; and no rights are left with which to undo it. */
const apart = [
  ...["--die-with-parent", "--as-pid-1", "--unshare-user", "--unshare-pid", "--disable-userns", "--cap-drop", "ALL"],
] as const;
/** The files and the user of the worker, and no network. Other processes are out of sight: theirs could be entered. */
const withoutNetwork = [...opener, ...apart, "--unshare-net", "--dev-bind", "/", "/", "--proc", "/proc"] as const;

function base(network: boolean): string[] {
  return [
    ...opener,
    ...apart,
    ...["--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--uid", NOBODY, "--gid", NOBODY],
    ...(network ? [] : ["--unshare-net"]),
    ...systemFolders.flatMap(systemBind),
    ...[...systemFiles, ...(network ? networkFiles : [])].flatMap((path) => ["--ro-bind-try", path, path]),
    ...["--proc", "/proc", "--dev", "/dev", "--size", TMP_BYTES, "--tmpfs", "/tmp"],
  ];
}

function systemBind(path: string): string[] {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return [];
  return stat.isSymbolicLink() ? ["--symlink", readlinkSync(path), path] : ["--ro-bind", path, path];
}

function isOfSystem(path: string): boolean {
  return systemFolders.some((folder) => path.startsWith(`${folder}/`));
}

function trial(): string[] {
  return [...base(false), "--", "/usr/bin/true"];
}

function faultOf(error: { readonly message: string }, said: string): string {
  if (!existsSync(BWRAP)) return `there is no ${BWRAP}`;
  const [line = ""] = said.trim().split("\n");
  return line === "" ? error.message : line;
}

/** The folder that an output of this temporary path is written to, and the one to work in. */
export function placesOf(inputs: readonly string[], temp: string | undefined, folder?: WorkFolder): Places {
  return { read: inputs, write: temp === undefined ? [] : [dirname(temp)], folder };
}
