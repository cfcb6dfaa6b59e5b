/** Whether the policy of the configuration can be kept on this machine, and what it lets through that its author may not know. */
import { createHash } from "node:crypto";
import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import { ANY, type Allow, type AllowedBinary } from "../../contract/allow.ts";
import { messageOf } from "../../contract/errors.ts";
import { realPathOf } from "../../platform/confined-path.ts";
import { plural } from "../format.ts";
import type { Finding } from "./finding.ts";

/** Programs that start other programs, or run whatever text they are given; with a version behind the name or without. */
const interpreters = new Set(
  `ash awk bash busybox chroot csh dash doas env expect fish find flock gawk git ionice java ksh lua make mawk nice node
  nodejs nohup nsenter parallel perl php pwsh python ruby sed setsid sh ssh stdbuf strace sudo tar tclsh time timeout
  unshare vim watch xargs zsh`.split(/\s+/),
);

const CHECK = "policy";

/** What the `allow` section says, and everything about it that wants attention. */
export function checkPolicy(allow: Allow): Finding[] {
  const binaries = allow.binaries === ANY || allow.binaries === undefined ? [] : allow.binaries;
  return [
    { check: CHECK, status: "ok", found: summaryOf(allow), fix: null },
    ...binaries.flatMap(binaryFindings),
    ...rootFindings("read", allow.read),
    ...rootFindings("write", allow.write),
  ];
}

function summaryOf(allow: Allow): string {
  const { binaries, read, write } = allow;
  if ([binaries, read, write].every((rule) => rule === undefined || rule === ANY)) {
    return "none: a run may use any binary and any folder";
  }
  const from = (rule: Allow["read"]) =>
    rule === undefined || rule === ANY ? "any folder" : rule.join(", ") || "no folder";
  const which =
    binaries === undefined || binaries === ANY ? "any binary" : plural(binaries.length, "binary", "binaries");
  return `${which}, inputs in ${from(read)}, outputs in ${from(write)}`;
}

function binaryFindings({ path, sha256 }: AllowedBinary): Finding[] {
  const findings: Finding[] = [];
  try {
    accessSync(path, constants.X_OK);
    if (sha256 !== undefined) findings.push(...digestFindings(path, sha256));
  } catch (error) {
    const fix = "install it, or correct allow.binaries";
    findings.push({ check: CHECK, status: "warn", found: `no executable ${path}: ${messageOf(error)}`, fix });
    return findings;
  }
  const names = [basename(path), basename(realPathOf(path))].map((name) => name.replace(/[\d.-]+$/, ""));
  if (names.some((name) => interpreters.has(name))) {
    const found = `${path} can start other programs, so allowing it allows everything`;
    findings.push({ check: CHECK, status: "warn", found, fix: "allow a script of your own instead" });
  }
  return findings;
}

function digestFindings(path: string, sha256: string): Finding[] {
  const found = createHash("sha256").update(readFileSync(path)).digest("hex");
  if (found === sha256) return [];
  const fix = "install the pinned version, or correct allow.binaries";
  return [{ check: CHECK, status: "fail", found: `${path} has SHA-256 ${found}, pinned is ${sha256}`, fix }];
}

function rootFindings(rule: "read" | "write", roots: Allow["read"]): Finding[] {
  if (roots === undefined || roots === ANY) return [];
  const mode = constants.X_OK | (rule === "read" ? constants.R_OK : constants.W_OK);
  return roots.flatMap((root): Finding[] => {
    try {
      if (!statSync(root).isDirectory()) throw new Error("it is no folder");
      accessSync(root, mode);
      return [];
    } catch (error) {
      const what = rule === "read" ? "read" : "written";
      const found = `allow.${rule}: ${root} cannot be ${what}: ${messageOf(error)}`;
      return [{ check: CHECK, status: "warn", found, fix: `make the folder, or correct allow.${rule}` }];
    }
  });
}
