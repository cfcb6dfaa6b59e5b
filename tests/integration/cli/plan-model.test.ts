import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import { exportDecoder } from "../../../scripts/models/llama/export.ts";
import { randomWeights } from "../../../scripts/models/llama/safetensors.ts";
import { pinFiles } from "../../../scripts/models/pin.ts";
import { main } from "../../../src/cli/main.ts";
import { flowDocument } from "../../../src/contract/flows.ts";
import { Scratch } from "../../support/scratch.ts";
import { seeded } from "../../support/seeded.ts";
import { llamaConfig, llamaFolder } from "../../support/small-llama.ts";

const tiny = {
  ...llamaConfig,
  ...{ hidden_size: 32, intermediate_size: 16, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1 },
  ...{ head_dim: 16, max_position_embeddings: 8_192 },
};

/** A model with random weights, of the vocabulary of the small Llama. */
function randomModel(scratch: Scratch, seed: number): string {
  const folder = join(scratch.path, "model");
  cpSync(llamaFolder, folder, { recursive: true });
  const made = exportDecoder(randomWeights(tiny, seeded(seed)), tiny, { attention: "plain", logits: "last" });
  writeFileSync(join(folder, "model.onnx"), made);
  writeFileSync(join(folder, "config.json"), JSON.stringify(tiny));
  pinFiles(folder);
  return folder;
}

class Planning implements Disposable {
  readonly scratch = new Scratch();
  readonly #model: string;
  stderr = "";

  constructor(seed?: number) {
    this.#model = seed === undefined ? llamaFolder : randomModel(this.scratch, seed);
  }

  async run(settings: object, allow: object = { binaries: ["/usr/bin/true"] }): Promise<number> {
    const planners = { local: { kind: "model", model: this.#model, ...settings } };
    this.scratch.file("c.json", JSON.stringify({ planners, allow }));
    return await main(["run", "--goal", "meet Ann on Friday", "-c", "c.json", "--output", "out"], {
      stdin: Readable.from([]),
      stdout: new Writable({ write: (_chunk, _encoding, done) => (done(), undefined) }),
      stderr: new Writable({ write: (chunk, _encoding, done) => (done(), (this.stderr += String(chunk))) }),
      env: { PATH: process.env["PATH"], HEADROOM_HOME: `${this.scratch.path}/home` },
      cwd: this.scratch.path,
    });
  }

  /** A file of the folder of the one plan. */
  kept(name: string): string {
    const plans = `${this.scratch.path}/home/plans`;
    const [id = ""] = readdirSync(plans);
    return readFileSync(join(plans, id, name), "utf8");
  }

  get homeNames(): string[] {
    return readdirSync(`${this.scratch.path}/home`);
  }

  [Symbol.dispose](): void {
    this.scratch[Symbol.dispose]();
  }
}

const small = { nodes: 2, words: 2, chars: 8 };

describe("a model of the cluster as a planner", () => {
  test("writes flows by the schema though it has learned nothing; what is wrong with them goes back, and nothing runs", async () => {
    using planning = new Planning(1);
    const code = await planning.run({ repairs: 1, plan: small });
    expect(planning.stderr).toMatch(/call 1: answered after .*, \d+ \+ \d+ tokens/);
    expect(planning.stderr).toContain("call 2: refused");
    expect(planning.stderr).toContain("expected a plan without faults, found faults after 1 repair");
    for (const name of ["1.txt", "2.txt"]) {
      const { nodes } = flowDocument.parse(JSON.parse(planning.kept(name)));
      for (const node of nodes) if (node.kind === "exec") expect(node.command[0]).toBe("/usr/bin/true");
    }
    expect(code).toBe(1);
    expect(planning.homeNames).not.toContain("out");
    // The question and its answer are no files of anybody.
    expect(planning.homeNames.filter((name) => name.startsWith("ask-"))).toEqual([]);
  });

  test("has its plan run where the rules allow it", async () => {
    using planning = new Planning(5);
    const code = await planning.run({ repairs: 0, plan: small });
    expect(planning.stderr).toContain("call 1: accepted, 1 node");
    expect(code).toBe(0);
  });

  test("is told of an answer that was cut off, and is not asked the same again", async () => {
    using planning = new Planning(1);
    const code = await planning.run({ plan: { nodes: 64, words: 64, chars: 4_000 }, budget: { tokens: 300 } });
    expect(planning.stderr).toContain(
      "too-long: expected an answer that is whole after 300 tokens at most, found one that was not: it was cut off",
    );
    expect(planning.stderr).not.toContain("call 2");
    expect(code).not.toBe(0);
  });

  test("says that it cannot be done in the words of the schema, which ends it", async () => {
    using planning = new Planning();
    const code = await planning.run({ plan: small });
    expect(planning.stderr).toContain("call 1: the planner says that it cannot be done");
    expect(Object.keys(JSON.parse(planning.kept("1.txt")) as object)).toEqual(["impossible"]);
    expect(code).toBe(1);
  });
});
