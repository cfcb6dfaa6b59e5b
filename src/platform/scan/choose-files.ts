/** Which files of an input are measured: the smallest, the largest, and some between them by size. Pure. */
import type { ScannedFile } from "./scan-batch.ts";

/** So many files are looked at more closely; of an input of any size a fair sample. */
const SAMPLE = 4_096;

/** Takes the files of a scan one by one and keeps few of them. */
export class FileChooser<File extends ScannedFile = ScannedFile> {
  readonly #sample: File[] = [];
  readonly #random: () => number;
  #smallest: File | undefined;
  #largest: File | undefined;
  #count = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  get count(): number {
    return this.#count;
  }

  add(file: File): void {
    this.#count += 1;
    if (this.#smallest === undefined || file.bytes < this.#smallest.bytes) this.#smallest = file;
    if (this.#largest === undefined || file.bytes >= this.#largest.bytes) this.#largest = file;
    if (this.#sample.length < SAMPLE) this.#sample.push(file);
    else {
      // Each file of the input is in the sample with the same chance, however many come.
      const at = Math.floor(this.#random() * this.#count);
      if (at < SAMPLE) this.#sample[at] = file;
    }
  }

  /** At most `wanted` different files, smallest first, evenly spread over the order by size; one alone is the middle one. */
  choose(wanted: number): File[] {
    if (wanted < 1 || this.#smallest === undefined || this.#largest === undefined) return [];
    const bySize = this.#sample.toSorted((a, b) => a.bytes - b.bytes);
    if (wanted === 1) return bySize.slice(Math.floor(bySize.length / 2)).slice(0, 1);
    const between = Array.from({ length: wanted - 2 }, (_, step) => {
      const place = ((step + 1) / (wanted - 1)) * (bySize.length - 1);
      return bySize[Math.round(place)];
    });
    const chosen = new Map<string, File>();
    for (const file of [this.#smallest, ...between, this.#largest]) {
      if (file !== undefined) chosen.set(file.path, file);
    }
    return [...chosen.values()].toSorted((a, b) => a.bytes - b.bytes);
  }
}
