/** Modules in a model's folder that make its inputs and its answers: what they can do, and what broken ones get. */
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadModel } from "../../../../src/platform/models/model-folder.ts";
import { pluginsOf } from "../../../../src/contract/model-plugins.ts";
import { EngineFixture, labelOf, sha256 } from "../../../support/engine-fixture.ts";
import { Scratch } from "../../../support/scratch.ts";
import { modelFolder, tinyOnnx } from "../../../support/tiny-onnx.ts";

const example = join(import.meta.dirname, "../../../../examples/models/house-price");
const any = { modelPlugins: "any" as const };
type Type = "float32" | "int64" | "float16";

/** Tells what it is given, and that times two. */
function mirror(type: Type = "float32", dims: readonly number[] = [2]): Buffer {
  return tinyOnnx({
    inputs: [["x", type, ["files", ...dims]]],
    outputs: [
      ["y", type, ["files", ...dims]],
      ["twice", type, ["files", ...dims]],
    ],
    nodes: [
      { op: "Identity", in: ["x"], out: "y" },
      { op: "Add", in: ["x", "x"], out: "twice" },
    ],
  });
}

const tensors = [{ tensor: "x", shape: [2] }];

/** A model whose input a module of this code makes. */
function reading(code: string, { model = mirror(), ...change }: { model?: Buffer; [key: string]: unknown } = {}) {
  return (scratch: Scratch) => {
    const { input = {}, ...rest } = change as { input?: object };
    const folder = modelFolder(scratch, "model", model, {
      task: "regress",
      input: { kind: "plugin", file: "own.mjs", sha256: sha256(code), tensors, ...input },
      output: { tensor: "y" },
      ...rest,
    });
    writeFileSync(join(folder, "own.mjs"), code);
    return folder;
  };
}

/** A model whose answer a module of this code makes of two bytes. */
function answering(code: string) {
  return (scratch: Scratch) => {
    const folder = modelFolder(scratch, "model", mirror(), {
      task: "custom",
      input: { kind: "bytes", tensor: "x", windows: [{ at: "head", length: 2 }] },
      output: { kind: "plugin", file: "own.mjs", sha256: sha256(code), tensors: ["twice", "y"] },
    });
    writeFileSync(join(folder, "own.mjs"), code);
    return folder;
  };
}

const opening = (body: string) => `export default { api: 1, open: (settings, context) => { ${body} } };`;
const reader = (body: string) => opening(`return { read(bytes) { ${body} } };`);
const answerer = (body: string) => opening(`return { answer(outputs) { ${body} } };`);
const lengths = "return { x: { data: Float32Array.of(bytes.length, bytes[0]), shape: [2] } };";

test("the example runs over files of CSV: a file that its plugin cannot read fails alone", async () => {
  const { manifest } = await loadModel(example);
  const modelPlugins = pluginsOf(manifest).map((plugin) => plugin.sha256);
  await using fixture = new EngineFixture(() => example, { modelPlugins });
  fixture
    .file("north.csv", "id,area,rooms,age\n17,150,5,10\n")
    .file("south.csv", "area,rooms,age\n300,8,5\n")
    .file("east.csv", "area,rooms,age\n80,three,40\n")
    .file("none.csv", "")
    .file("binary", Buffer.from([0xff, 0xfe]));
  const answers = await fixture.ask();
  expect(answers.get("north.csv")).toMatchObject({
    inference: { label: "fair", confidence: null, value: { task: "custom", answer: { price: 460, above: false } } },
  });
  expect(answers.get("south.csv")).toMatchObject({
    inference: { label: "dear", value: { answer: { price: 865, above: true } } },
  });
  expect(labelOf(answers.get("east.csv"))).toBe("bad-input: rooms: expected a number, found three");
  expect(labelOf(answers.get("none.csv"))).toBe("bad-input: area: expected a number, found nothing");
  expect(labelOf(answers.get("binary"))).toMatch(/^bad-input: The encoded data was not valid/);
});

test("the modules that the page shows do what it says", async () => {
  const page = readFileSync(join(import.meta.dirname, "../../../../docs/model-plugins.md"), "utf8");
  const [input = "", output = ""] = [...page.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map((block) => block[1] ?? "");
  const written = { "numbers.mjs": input, "verdict.mjs": output };
  await using fixture = new EngineFixture((scratch) => {
    const folder = scratch.folder("model");
    cpSync(example, folder, { recursive: true });
    let manifest = readFileSync(join(folder, "model.yaml"), "utf8");
    for (const [name, code] of Object.entries(written)) {
      manifest = manifest.replace(sha256(readFileSync(join(folder, name), "utf8")), sha256(code));
      writeFileSync(join(folder, name), code);
    }
    writeFileSync(join(folder, "model.yaml"), manifest);
    return folder;
  }, any);
  const answers = await fixture.file("a.csv", "area,rooms,age\n3,1,2\n").file("b.csv", "area\n3\n").ask();
  expect(answers.get("a.csv")).toMatchObject({ inference: { label: "dear", value: { answer: { price: 620 } } } });
  expect(labelOf(answers.get("b.csv"))).toBe("bad-input: expected numbers, found 3");
});

describe("whether code in a folder may run", () => {
  test.each([
    ["nothing was said", undefined, "(it names none)"],
    ["another one is named", ["0".repeat(64)], `(${"0".repeat(64)})`],
  ])("it may not where %s", async (_name, modelPlugins, named) => {
    const writing = (scratch: Scratch) =>
      `import { writeFileSync } from "node:fs"; writeFileSync("${scratch.path}/ran", ""); ${reader(lengths)}`;
    const make = (scratch: Scratch) => reading(writing(scratch))(scratch);
    await using fixture = new EngineFixture(make, { ...(modelPlugins && { modelPlugins }) });
    const found = `own.mjs with ${sha256(writing(fixture.scratch))}`;
    const expected = `input.sha256: expected a plugin that allow.model_plugins names ${named}, found ${found}`;
    await expect(fixture.engine.ready()).rejects.toThrow(expected);
    expect(existsSync(`${fixture.scratch.path}/ran`)).toBe(false);
    await using allowed = new EngineFixture(make, any);
    await allowed.engine.ready();
    expect(existsSync(`${allowed.scratch.path}/ran`)).toBe(true);
  });

  test("it may where its digest is named, and imports nothing that lies beside it", async () => {
    const own = reader(lengths);
    await using fixture = new EngineFixture(reading(own), { modelPlugins: [sha256(own)] });
    await expect(fixture.engine.ready()).resolves.toMatchObject({ provider: "cpu" });
    const code = `import "./other.mjs"; ${own}`;
    const make = (scratch: Scratch) => {
      const folder = reading(code)(scratch);
      writeFileSync(join(folder, "other.mjs"), "");
      return folder;
    };
    await using other = new EngineFixture(make, { modelPlugins: [sha256(code)] });
    await expect(other.engine.ready()).rejects.toThrow(/input\.file: expected a module that can be loaded, found own/);
  });
});

describe("a plugin that cannot be used is told before a file is looked at", () => {
  test.each<[string, (scratch: Scratch) => string, RegExp]>([
    [
      "that is no module",
      reading("export default {"),
      /input\.file: expected a module that can be loaded, found own\.mjs: Unexp/,
    ],
    [
      "that throws while it is loaded",
      reading("throw new Error('no luck')"),
      /a module that can be loaded, found own\.mjs: no luck/,
    ],
    [
      "without a default export",
      reading("export const read = 1;"),
      /default export has api, settings and open, found own\.mjs/,
    ],
    [
      "of another api",
      reading("export default { api: 2, open() {} }"),
      /expected a plugin of api 1, found own\.mjs of api 2/,
    ],
    ["of no api", reading("export default { open() {} }"), /expected a plugin of api 1, found own\.mjs of api none/],
    [
      "that throws when it is opened",
      reading(opening("throw new Error('no words')")),
      /expected a plugin that opens, found own\.mjs: no words/,
    ],
    [
      "that opens as nothing",
      reading(opening("return undefined")),
      /opens as an object with read\(\), found own\.mjs without it/,
    ],
    ["made for answers", reading(answerer("return {}")), /opens as an object with read\(\), found own\.mjs without it/],
    [
      "made for inputs",
      answering(reader(lengths)),
      /output\.file: expected a plugin that opens as an object with answer\(\)/,
    ],
    [
      "whose settings it refuses by a schema",
      reading(
        `export default { api: 1, settings: { type: "object", properties: { size: { type: "number" } }, required: ["size"] }, open() {} }`,
        { input: { settings: { size: "big" } } },
      ),
      /input\.settings\.size: expected .*number.*, found "big"/,
    ],
    [
      "whose settings it refuses by itself",
      reading(`export default { api: 1, settings() { throw new Error("a size"); }, open() {} }`),
      /input\.settings: expected a size, found \{\}/,
    ],
    [
      "whose rule for settings is none",
      reading(`export default { api: 1, settings: true, open() {} }`),
      /input\.settings: expected the plugin's own rule for its settings to be a JSON Schema, .*, found/,
    ],
    [
      "that is another one than the pinned",
      reading(reader(lengths), { input: { sha256: "0".repeat(64) } }),
      /input\.sha256: expected .*own\.mjs with this digest: 0{64}, found [0-9a-f]{64}/,
    ],
    [
      "that is not there",
      (scratch) => {
        const folder = reading(reader(lengths))(scratch);
        rmSync(join(folder, "own.mjs"));
        return folder;
      },
      /input\.file: expected a file at .*own\.mjs that can be read, found nothing/,
    ],
    [
      "for a shape that the model does not take",
      reading(reader(lengths), { input: { tensors: [{ tensor: "x", shape: [3] }] } }),
      /input\.tensors\[0\]\.shape: expected the shape of the input x: \[files, 2\], found \[files, 3\]/,
    ],
    [
      "for a tensor that the model does not have",
      reading(reader(lengths), { input: { tensors: [{ tensor: "z", shape: [2] }] } }),
      /input\.tensors\[0\]\.tensor: expected one of the inputs of the model \(x\), found "z"/,
    ],
  ])("%s", async (_name, make, message) => {
    await using fixture = new EngineFixture(make, any);
    await expect(fixture.engine.ready()).rejects.toThrow(message);
  });

  test("that never ends when it is opened", async () => {
    await using fixture = new EngineFixture(reading(opening("for (;;);")), any);
    await expect(fixture.engine.ready()).rejects.toThrow(
      /a plugin that opens, found own\.mjs: expected an answer within 10000 ms/,
    );
  });
});

describe("what a plugin gives for one file", () => {
  test("is checked by type, shape and length, and fails that file alone", async () => {
    const code = reader(`
      const said = new TextDecoder().decode(bytes);
      if (said === "thrown") throw new Error("not this one");
      return new Function("bytes", said)(bytes);
    `);
    await using fixture = new EngineFixture(reading(code), any);
    fixture
      .file("good", lengths)
      .file("thrown", "thrown")
      .file("words", "throw new Error('expected rooms, found a log: Out of memory: Killed process 7')")
      .file("getter", "return { x: { get data() { throw new Error('not now'); }, shape: [2] } }")
      .file("none", "return {}")
      .file("nothing", "return undefined")
      .file("bare", "return { x: [1, 2] }")
      .file("type", "return { x: { data: Float64Array.of(1, 2), shape: [2] } }")
      .file("list", "return { x: { data: [1, 2], shape: [2] } }")
      .file("shape", "return { x: { data: Float32Array.of(1, 2), shape: [1, 2] } }")
      .file("short", "return { x: { data: Float32Array.of(1), shape: [2] } }")
      .file("promise", "return Promise.reject(new Error('later'))");
    const answers = await fixture.ask();
    expect(answers.get("good")).toMatchObject({ inference: { value: { values: [lengths.length, 114] } } });
    const wanted = "bad-input: expected x of the plugin to be Float32Array [2], found";
    expect(Object.fromEntries([...answers].map(([path, answer]) => [path, labelOf(answer)]))).toMatchObject({
      thrown: "bad-input: not this one",
      words: "bad-input: expected rooms, found a log: Out of memory: Killed process 7",
      getter: "bad-input: not now",
      none: `${wanted} none`,
      nothing: `${wanted} none`,
      bare: `${wanted} one without a shape`,
      type: `${wanted} Float64Array [2]`,
      list: `${wanted} Array [2]`,
      shape: `${wanted} Float32Array [1, 2]`,
      short: `${wanted} Float32Array of 1 values`,
      promise: `${wanted} a promise: read() has to answer at once`,
    });
    expect(fixture.restarts).toEqual([]);
  });

  test("may be integers of 64 bits, floats of 16, and of more dimensions or none", async () => {
    const asked = async (model: Buffer, code: string, shape: number[]) => {
      await using fixture = new EngineFixture(
        reading(reader(code), { model, input: { tensors: [{ tensor: "x", shape }] }, output: { tensor: "twice" } }),
        any,
      );
      return (await fixture.file("a", "ab").file("b", "abc").ask()).get("b");
    };
    const wide = "return { x: { data: BigInt64Array.of(5n, BigInt(bytes.length)), shape: [2] } }";
    expect(await asked(mirror("int64"), wide, [2])).toMatchObject({ inference: { value: { values: [10, 6] } } });
    const half = "return { x: { data: Float32Array.of(0.5, bytes.length), shape: [2] } }";
    expect(await asked(mirror("float16"), half, [2])).toMatchObject({ inference: { value: { values: [1, 6] } } });
    const square = "return { x: { data: Float32Array.of(1, 2, 3, bytes.length), shape: [2, 2] } }";
    expect(await asked(mirror("float32", [2, 2]), square, [2, 2])).toMatchObject({
      inference: { value: { values: [2, 4, 6, 6] } },
    });
    const single = "return { x: { data: Float32Array.of(bytes.length), shape: [] } }";
    expect(await asked(mirror("float32", []), single, [])).toMatchObject({ inference: { value: { values: [6] } } });
  });

  test("never ends: the engine is ended at its limit, and the file alone fails", async () => {
    const code = reader(`if (bytes.length === 5) for (;;); ${lengths}`);
    await using fixture = new EngineFixture(reading(code, { engine: { batch_timeout_seconds: 0.5 } }), any);
    const answers = await fixture.file("a", "a").file("hangs", "12345").file("b", "b").ask();
    expect(labelOf(answers.get("hangs"))).toMatch(/^timeout: the engine ended with SIGKILL at this file alone/);
    expect([answers.get("a")?.kind, answers.get("b")?.kind]).toEqual(["answer", "answer"]);
    expect(new Set(fixture.restarts)).toEqual(new Set(["timeout"]));
  });

  test("ends the process: it is made anew, and the file alone fails", async () => {
    const code = reader(`if (bytes.length === 5) process.exit(3); ${lengths}`);
    await using fixture = new EngineFixture(reading(code), any);
    const answers = await fixture.file("a", "a").file("ends", "12345").ask();
    expect(labelOf(answers.get("ends"))).toMatch(/^signal: the engine ended with code 3 at this file alone/);
    expect(answers.get("a")?.kind).toBe("answer");
  });
});

describe("what a plugin says of the outputs of one file", () => {
  test("is of all outputs that the manifest names, in rows of their own", async () => {
    const code = answerer(`
      const { y, twice } = outputs;
      const told = { y: [...y.data], twice: [...twice.data], shape: y.shape };
      twice.data[0] = 1e9;
      return { label: String(y.data[0]), confidence: 0.5, answer: told };
    `);
    await using fixture = new EngineFixture(answering(code), any);
    const answers = await fixture.file("a", "ab").file("b", "cd").ask();
    expect(answers.get("b")).toMatchObject({
      inference: {
        ...{ label: "99", confidence: 0.5 },
        value: { task: "custom", answer: { y: [99, 100], twice: [198, 200], shape: [2] } },
      },
    });
    expect(labelOf(answers.get("a"))).toBe("97");
  });

  test("is checked, and fails that file alone as bad output", async () => {
    const said = {
      a: "({ label: 'ok' })",
      b: "(() => { throw new Error('out of memory, it said') })()",
      c: "({ label: 5 })",
      d: "({ confidence: 2 })",
      e: "({ answer: { n: NaN } })",
      f: "({ answer: 5n })",
      g: "({ lable: 'x' })",
      h: "undefined",
      i: "Promise.reject(new Error('later'))",
      j: "(() => { const own = {}; own.own = own; return { answer: own }; })()",
      k: "({ answer: 'x'.repeat(2 ** 20) })",
    };
    const table = Object.entries(said).map(([name, code]) => `${name}: () => ${code}`);
    const code = `const said = { ${table.join(", ")} }; ${answerer("return said[String.fromCharCode(outputs.y.data[0])]();")}`;
    await using fixture = new EngineFixture(answering(code), any);
    for (const name of Object.keys(said)) fixture.file(name, name);
    const answers = await fixture.ask();
    const found = Object.fromEntries([...answers].map(([path, answer]) => [path, labelOf(answer)]));
    expect(found).toMatchObject({
      a: "ok",
      b: "bad-output: out of memory, it said",
      c: "bad-output: label: expected a text, found 5",
      d: "bad-output: confidence: expected a number, 1 at most, found 2",
      h: expect.stringMatching(/^bad-output: what answer\(\) gave: expected .*, found nothing$/) as string,
      i: "bad-output: expected an answer of the plugin, found a promise: answer() has to answer at once",
      k: "bad-output: expected an answer of at most 1048576 characters of JSON, found 1048578",
    });
    expect(found["g"]).toMatch(/^bad-output: lable: expected .*"label".*, found the unknown key "lable"$/);
    for (const name of ["e", "f", "j"]) expect(found[name]).toMatch(/^bad-output: .*expected .*what JSON can say/);
  });
});

test("another plugin, or other settings of it, is another model to a run that goes on", async () => {
  using scratch = new Scratch();
  const digestOf = async (code: string, input = {}) => (await loadModel(reading(code, { input })(scratch))).sha256;
  const first = await digestOf(reader(lengths));
  expect(await digestOf(reader(lengths))).toBe(first);
  expect(await digestOf(`${reader(lengths)} `)).not.toBe(first);
  expect(await digestOf(reader(lengths), { settings: { a: 1 } })).not.toBe(first);
});
