/**
 * A process of an image, without an engine: in a sandbox over the image's files, with a read-only root, as the image's
 * user, with no capability. Of the machine only its programs and libraries are there; of Perl, what perl-base has.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import type { ImageRoot } from "./image-root.ts";

/** The user of the image, and its group. */
export const IMAGE_UID = 10_001;

export interface ImageProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Folders that can be written, empty at first. */
  readonly tmpfs?: readonly string[];
  /** Path in the image: path here. */
  readonly readOnly?: Readonly<Record<string, string>>;
  readonly writable?: Readonly<Record<string, string>>;
}

export interface ImageProcess extends AsyncDisposable {
  /** What it printed so far, on either stream. */
  output(): string;
  stdout(): string;
  /** Its exit code, when it has ended. */
  readonly ended: Promise<number | null>;
}

const fromMachine = ["/etc/ld.so.cache", "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl"];
const links = { "usr/bin": "/bin", "usr/lib": "/lib", "usr/lib64": "/lib64", "usr/sbin": "/sbin" };
/** All Perl that is in other packages than perl-base. */
const otherPerl = ["/usr/share/perl", "/usr/share/perl5", `/usr/lib/${machine()}/perl`, `/usr/lib/${machine()}/perl5`];

/** Runs a command of the image. It is killed, with all that it started, when the scope that holds it ends. */
export function runInImage(
  image: ImageRoot,
  command: readonly string[],
  { env = {}, tmpfs = ["/tmp", "/var/lib/headroom"], readOnly = {}, writable = {} }: ImageProcessOptions = {},
): ImageProcess {
  const mounts = [
    ...["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"],
    ...otherPerl.filter((path) => existsSync(path)).flatMap((path) => ["--tmpfs", path]),
    ...Object.entries(links).flatMap(([to, path]) => ["--symlink", to, path]),
    ...fromMachine.filter((path) => existsSync(path)).flatMap((path) => ["--ro-bind", path, path]),
    ...["--ro-bind", process.execPath, "/opt/bin/node", "--symlink", "/app/bin/headroom.js", "/opt/bin/headroom"],
    ...["--ro-bind", `${image.path}/app`, "/app"],
    ...tmpfs.flatMap((path) => ["--tmpfs", path]),
    ...Object.entries(readOnly).flatMap(([to, from]) => ["--ro-bind", from, to]),
    ...Object.entries(writable).flatMap(([to, from]) => ["--bind", from, to]),
    ...["--remount-ro", "/"],
  ];
  const variables = { PATH: "/opt/bin:/usr/bin:/bin", ...image.env, ...env };
  const user = ["--unshare-user", "--uid", String(IMAGE_UID), "--gid", String(IMAGE_UID)];
  const [file = "", ...args] = [
    ...asImageUser(),
    ...["bwrap", ...user, "--unshare-pid", "--unshare-ipc", "--die-with-parent", "--clearenv"],
    ...Object.entries(variables).flatMap(([name, value]) => ["--setenv", name, value]),
    ...[...mounts, "--chdir", "/var/lib/headroom", "--", ...command],
  ];
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
  return observe(child);
}

/** Root must become the image's user here too, or it would own what it must not be able to write. */
function asImageUser(): string[] {
  if (process.getuid?.() !== 0) return [];
  return ["setpriv", `--reuid=${IMAGE_UID}`, `--regid=${IMAGE_UID}`, "--clear-groups"];
}

function observe(child: ChildProcess): ImageProcess {
  let [stdout, output] = ["", ""];
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    output += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (output += text));
  const ended = once(child, "close").then(() => child.exitCode);
  return {
    output: () => output,
    stdout: () => stdout,
    ended,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

function machine(): string {
  return process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
}
