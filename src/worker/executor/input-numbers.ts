/**
 * The numbers of a run's inputs: `{index}`. They are counted in the order of the scan. When a run is begun anew each input
 * keeps the number that it had, since its output is named by it, and new ones get numbers behind all that were ever given:
 * a list in another order runs nothing again, and no new input takes the name of an old one.
 */
import type { LiveRun } from "../../platform/run-hash.ts";
import { placeholdersOf } from "../../contract/template.ts";
import type { FileTable } from "../../store/store.ts";

export class InputNumbers {
  readonly #files: Pick<FileTable, "get" | "lastIndex">;
  readonly #run: LiveRun;
  readonly #keeps: boolean;
  /** Undefined until it is asked for. */
  #next: number | undefined;

  constructor(files: Pick<FileTable, "get" | "lastIndex">, run: LiveRun) {
    this.#files = files;
    this.#run = run;
    // Where nothing shows the number, it is not worth asking the store for each file.
    this.#keeps = run.epoch > 0 && showsNumbers(run.spec);
  }

  /** The number of each of these inputs, in their order; `counted` inputs came before them. */
  async of(paths: readonly string[], counted: number): Promise<readonly number[]> {
    if (!this.#keeps) return paths.map((_, at) => counted + at);
    const { runId } = this.#run;
    this.#next ??= ((await this.#files.lastIndex(runId)) ?? -1) + 1;
    const known = new Map((await this.#files.get(runId, paths)).map(({ path, index }) => [path, index]));
    const numbers: number[] = [];
    for (const path of paths) {
      // One that stands in a list twice has its number once.
      const number = known.get(path) ?? this.#next++;
      known.set(path, number);
      numbers.push(number);
    }
    return numbers;
  }
}

function showsNumbers({ command, output }: LiveRun["spec"]): boolean {
  return [...command, output.name].some((template) => placeholdersOf(template).has("index"));
}
