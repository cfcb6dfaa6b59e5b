/**
 * Makes the list of what is in an image whole (SPDX): beside the packages of npm, which it has from the build, those of Debian or
 * Ubuntu, CUDA's and Valkey's among them, Node, and what ONNX Runtime fetched for CUDA. Called again, it begins anew.
 *   node list-packages.js [FOLDER [RECORDS]]
 * FOLDER has sbom.spdx.json, package.json and node_modules; by default it is the script's own. RECORDS has the control file
 * of each package that was put into the image without being installed.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [folder = import.meta.dirname, records = "/var/lib/dpkg/status.d"] = process.argv.slice(2);
const path = join(folder, "sbom.spdx.json");
const PREFIX = "SPDXRef-Image-";
const list = JSON.parse(readFileSync(path, "utf8"));

/** One package of the image, by its address among all packages of the world (purl). */
function packageOf({ name, version, purl }) {
  return {
    name,
    SPDXID: PREFIX + purl.replace(/^pkg:/, "").replace(/[^A-Za-z0-9.-]+/g, "-"),
    versionInfo: version,
    downloadLocation: "NOASSERTION",
    filesAnalyzed: false,
    externalRefs: [{ referenceCategory: "PACKAGE-MANAGER", referenceType: "purl", referenceLocator: purl }],
  };
}

function systemPackages() {
  const format = "${db:Status-Status} ${Package} ${Version} ${Architecture}\n";
  const text = execFileSync("dpkg-query", ["--show", `--showformat=${format}`], { encoding: "utf8" });
  return text
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([status]) => status === "installed")
    .map(([, name, version, arch]) => systemPackage(name, version, arch));
}

function recordedPackages() {
  if (!existsSync(records)) return [];
  return readdirSync(records).map((file) => {
    const text = readFileSync(join(records, file), "utf8");
    const [name, version, arch] = ["Package", "Version", "Architecture"].map((field) => {
      const [, value] = new RegExp(`^${field}: (.+)$`, "m").exec(text) ?? [];
      if (value === undefined) throw new Error(`${join(records, file)}: expected the field ${field}, found none`);
      return value;
    });
    return systemPackage(name, version, arch);
  });
}

function systemPackage(name, version, arch) {
  const [, distribution = "debian"] = /^ID=(\w+)$/m.exec(readFileSync("/etc/os-release", "utf8")) ?? [];
  const encoded = encodeURIComponent(name);
  return { name, version, purl: `pkg:deb/${distribution}/${encoded}@${encodeURIComponent(version)}?arch=${arch}` };
}

/** What no package manager brought. */
function others() {
  const node = process.versions.node;
  const found = [{ name: "node", version: node, purl: `pkg:generic/node@${node}` }];
  const runtime = join(folder, "node_modules/onnxruntime-node");
  const provider = join(runtime, "bin/napi-v6/linux", process.arch, "libonnxruntime_providers_cuda.so");
  if (existsSync(provider)) {
    const { version } = JSON.parse(readFileSync(join(runtime, "package.json"), "utf8"));
    const name = "onnxruntime-providers-cuda";
    found.push({ name, version, purl: `pkg:generic/${name}@${version}` });
  }
  return found;
}

const isOurs = (id) => id.startsWith(PREFIX);
const added = [...others(), ...systemPackages(), ...recordedPackages()].map(packageOf);
list.packages = [...list.packages.filter(({ SPDXID }) => !isOurs(SPDXID)), ...added];
list.relationships = [
  ...list.relationships.filter(({ relatedSpdxElement }) => !isOurs(relatedSpdxElement)),
  ...added.map(({ SPDXID }) => ({
    spdxElementId: "SPDXRef-DOCUMENT",
    relatedSpdxElement: SPDXID,
    relationshipType: "DESCRIBES",
  })),
];
writeFileSync(path, `${JSON.stringify(list, null, 2)}\n`);
