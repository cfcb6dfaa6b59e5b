/** Who runs beside whom: chunks run together, or one of them alone. */
import { expect, test } from "vitest";
import { Solitude } from "../../../../src/worker/executor/solitude.ts";

const never = new AbortController().signal;

/** Runs works that end when they are told to; says which run, and what was told of solitude. */
function setUp() {
  const running: string[] = [];
  const told: boolean[] = [];
  const ends = new Map<string, () => void>();
  const solitude = new Solitude((isWanted) => told.push(isWanted));
  const run = (name: string, isAlone: boolean, signal = never) =>
    solitude.run(isAlone, signal, async () => {
      running.push(name);
      if (!signal.aborted) await new Promise<void>((resolve) => ends.set(name, resolve));
      running.splice(running.indexOf(name), 1);
    });
  return { running, told, run, end: (name: string) => ends.get(name)?.() };
}

test("lets works run together, and one that is to be alone after them and before those that come later", async () => {
  const { running, told, run, end } = setUp();
  const works = [run("a", false), run("b", false), run("alone", true), run("c", false), run("other alone", true)];
  await expect.poll(() => running).toEqual(["a", "b"]);
  end("b");
  await works[1];
  expect(running).toEqual(["a"]);
  expect(told).toEqual([true]);
  end("a");
  await expect.poll(() => running).toEqual(["alone"]);
  end("alone");
  await expect.poll(() => running).toEqual(["c"]);
  end("c");
  await expect.poll(() => running).toEqual(["other alone"]);
  expect(told).toEqual([true]);
  end("other alone");
  await Promise.all(works);
  expect(told).toEqual([true, false]);
});

test("an abort ends the wait, and those behind go on", async () => {
  const { running, told, run, end } = setUp();
  const first = run("first", false);
  const abort = new AbortController();
  const alone = run("alone", true, abort.signal);
  const behind = run("behind", false);
  await expect.poll(() => running).toEqual(["first"]);
  abort.abort();
  await alone;
  await expect.poll(() => running).toEqual(["first", "behind"]);
  expect(told).toEqual([true, false]);
  end("first");
  end("behind");
  await Promise.all([first, behind]);
  const last = run("last", true);
  await expect.poll(() => running).toEqual(["last"]);
  end("last");
  await last;
});

test("a work that fails gives its turn to the next one", async () => {
  const { running, run, end } = setUp();
  const solitude = new Solitude(() => undefined);
  await expect(solitude.run(true, never, () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
  await expect(solitude.run(true, never, () => Promise.resolve(1))).resolves.toBe(1);
  const work = run("after", false);
  await expect.poll(() => running).toEqual(["after"]);
  end("after");
  await work;
});
