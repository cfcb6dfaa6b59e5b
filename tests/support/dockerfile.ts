/** Reads a Dockerfile: its stages, with the instructions of each, and where files come from. */

export interface Instruction {
  readonly keyword: string;
  /** What stands behind the keyword, on one line. */
  readonly text: string;
}

export interface Stage {
  readonly name: string;
  /** An image, or the name of an earlier stage. */
  readonly base: string;
  readonly instructions: readonly Instruction[];
}

export interface Copy {
  /** The stage that the files come from; undefined is the build's context. */
  readonly from: string | undefined;
  readonly sources: readonly string[];
  readonly target: string;
}

/** The stages, with build arguments of the top put into `FROM`. */
export function parseDockerfile(text: string): Stage[] {
  const stages: { name: string; base: string; instructions: Instruction[] }[] = [];
  const args = new Map<string, string>();
  for (const instruction of instructionsOf(text)) {
    if (instruction.keyword === "FROM") {
      const [base = "", , name = ""] = withArgs(instruction.text, args).split(/\s+/);
      stages.push({ name, base, instructions: [] });
      continue;
    }
    const stage = stages.at(-1);
    if (stage !== undefined) stage.instructions.push(instruction);
    else if (instruction.keyword === "ARG") {
      const at = instruction.text.indexOf("=");
      args.set(instruction.text.slice(0, at), instruction.text.slice(at + 1));
    }
  }
  return stages;
}

function instructionsOf(text: string): Instruction[] {
  const joined = text.replace(/^\s*#.*\n/gm, "").replace(/\\\n\s*/g, "");
  return joined.split("\n").flatMap((line) => {
    const [, keyword, rest] = /^([A-Z]+)\s+(.*)$/.exec(line.trim()) ?? [];
    return keyword === undefined || rest === undefined ? [] : [{ keyword, text: rest }];
  });
}

function withArgs(text: string, args: ReadonlyMap<string, string>): string {
  return text.replace(/\$\{(\w+)\}/g, (_, name: string) => args.get(name) ?? "");
}

/** The copies of a stage, in order. */
export function copiesOf(stage: Stage): Copy[] {
  return stage.instructions
    .filter(({ keyword }) => keyword === "COPY")
    .map(({ text }) => {
      const words = text.split(/\s+/);
      const from = words.find((word) => word.startsWith("--from="))?.slice("--from=".length);
      const paths = words.filter((word) => !word.startsWith("--"));
      return { from, sources: paths.slice(0, -1), target: paths.at(-1) ?? "" };
    });
}

/** The stage and all that it is built on, the first base first. */
export function lineageOf(stages: readonly Stage[], name: string): Stage[] {
  const stage = stages.find((candidate) => candidate.name === name);
  return stage === undefined ? [] : [...lineageOf(stages, stage.base), stage];
}

/** The last instruction of this kind on the way to the image. */
export function lastOf(stages: readonly Stage[], name: string, keyword: string): string | undefined {
  return lineageOf(stages, name)
    .flatMap(({ instructions }) => instructions)
    .findLast((instruction) => instruction.keyword === keyword)?.text;
}
