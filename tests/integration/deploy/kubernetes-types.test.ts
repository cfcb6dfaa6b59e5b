import { join } from "node:path";
import ts from "typescript";
import { beforeAll, describe, expect, test } from "vitest";
import { kustomizations, renderKustomization, type KubernetesObject } from "../../support/kustomize.ts";

const repository = join(import.meta.dirname, "../../..");

/** The package that has the types of an API version. */
function moduleOf(apiVersion: string): string {
  if (apiVersion.startsWith("keda.sh/")) return `@kubernetes-models/keda/${apiVersion}`;
  if (apiVersion.startsWith("monitoring.coreos.com/")) return `@kubernetes-models/prometheus-operator/${apiVersion}`;
  return `kubernetes-models/${apiVersion}`;
}

/** The types of KEDA are those of 2.10, where a fallback has no `behavior` yet: KEDA 2.17 brought it, with these values. */
const FALLBACK_BEHAVIORS = ["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"];
const typeOf: Readonly<Record<string, (type: string) => string>> = {
  ScaledObject: (type) => {
    const behavior = FALLBACK_BEHAVIORS.map((one) => JSON.stringify(one)).join(" | ");
    const spec = `${type}["spec"]`;
    const fallback = `NonNullable<${spec}["fallback"]> & { behavior?: ${behavior} }`;
    return `Omit<${type}, "spec"> & { spec: Omit<${spec}, "fallback"> & { fallback?: ${fallback} } }`;
  },
};

/** Every object as a literal of its type: a field that the type does not have is refused at any depth. */
function sourceOf(objects: readonly KubernetesObject[]): string {
  return objects
    .map(({ apiVersion, kind }, at) => {
      const type = `import("${moduleOf(apiVersion)}/${kind}").I${kind}`;
      return `export const object${at}: ${typeOf[kind]?.(type) ?? type} = ${JSON.stringify(objects[at])};`;
    })
    .join("\n");
}

/** What the compiler says about a file that is nowhere but here. */
function faultsOf(source: string): string[] {
  const path = join(repository, "rendered-objects.ts");
  const options: ts.CompilerOptions = {
    ...{ strict: true, noEmit: true, skipLibCheck: true, exactOptionalPropertyTypes: false, types: [] },
    ...{ target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.NodeNext },
  };
  const host = ts.createCompilerHost(options);
  const fileExists = host.fileExists.bind(host);
  const getSourceFile = host.getSourceFile.bind(host);
  host.fileExists = (name) => name === path || fileExists(name);
  host.getSourceFile = (name, ...rest) =>
    name === path ? ts.createSourceFile(name, source, ts.ScriptTarget.ES2023) : getSourceFile(name, ...rest);
  const program = ts.createProgram([path], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
}

type Model = new (data: object) => { validate(): void };

/** kubectl folds long values of secrets, which base64 may be, and the schema does not know. */
function unfolded(object: KubernetesObject): KubernetesObject {
  return JSON.parse(JSON.stringify(object), (_key, value: unknown) =>
    object.kind === "Secret" && typeof value === "string" ? value.replaceAll("\n", "") : value,
  ) as KubernetesObject;
}

async function validate(object: KubernetesObject): Promise<string[]> {
  const models = (await import(moduleOf(object.apiVersion))) as Record<string, Model | undefined>;
  const model = models[object.kind];
  if (model === undefined) return [`no model of ${object.apiVersion} ${object.kind}`];
  try {
    new model(unfolded(object)).validate();
    return [];
  } catch (error) {
    return [`${object.kind} ${object.metadata.name}: ${String(error)}`];
  }
}

describe.each(kustomizations)("%s", (path) => {
  let objects: KubernetesObject[];
  beforeAll(async () => {
    objects = await renderKustomization(path);
  }, 240_000);

  test("has objects of known types, without a field that its type does not have", { timeout: 180_000 }, () => {
    expect(objects.length).toBeGreaterThan(15);
    expect(faultsOf(sourceOf(objects))).toEqual([]);
  });

  test("has objects whose values are what their schemas ask for", async () => {
    const faults = await Promise.all(objects.map(validate));
    expect(faults.flat()).toEqual([]);
  });
});

describe("the check of types", () => {
  test("refuses a field that does not exist, deep down, and a value of another type", () => {
    const metadata = { name: "a" };
    const deployment = (container: object): KubernetesObject => {
      const template = { metadata: { labels: {} }, spec: { containers: [{ name: "a", ...container }] } };
      return { apiVersion: "apps/v1", kind: "Deployment", metadata, ...{ spec: { selector: {}, template } } };
    };
    expect(faultsOf(sourceOf([deployment({ image: "a" })]))).toEqual([]);
    expect(faultsOf(sourceOf([deployment({ livenesProbe: {} })])).join()).toContain("livenesProbe");
    expect(faultsOf(sourceOf([deployment({ image: 7 })]))).toHaveLength(1);
    const scaled = {
      apiVersion: "keda.sh/v1alpha1",
      kind: "ScaledObject",
      metadata,
      ...{ spec: { scaleTargetReff: {} } },
    };
    expect(faultsOf(sourceOf([scaled])).join()).toContain("scaleTarget");
  }, 180_000);
});
