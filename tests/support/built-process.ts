/**
 * Starts the programs in `processes` over the built code: compiling the sources anew in each of many processes would take
 * longer than what is tested. Needs `npm run build`.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { runNode, type TsProcess, type TsProcessOptions } from "./ts-process.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const sources = `${root}tests/support/processes/`;
const built = `${root}node_modules/.cache/headroom-tests/${process.pid}/`;

/** Runs `processes/NAME.ts`; it is killed when the scope that holds it ends. */
export function runBuilt(name: string, options: TsProcessOptions = {}): TsProcess {
  compileAll();
  return runNode([`${built}${name}.js`, ...(options.args ?? [])], options);
}

let isCompiled = false;

function compileAll(): void {
  if (isCompiled) return;
  isCompiled = true;
  if (!existsSync(`${root}dist/worker/worker-service.js`)) {
    throw new Error("expected the built program in dist, found none; to make it: npm run build");
  }
  mkdirSync(built, { recursive: true });
  process.once("exit", () => {
    rmSync(built, { recursive: true, force: true });
  });
  writeFileSync(`${built}package.json`, '{ "type": "module" }\n');
  for (const file of readdirSync(sources)) {
    const text = readFileSync(sources + file, "utf8")
      .replaceAll(/"(?:\.\.\/)+src\/([^"]+)\.ts"/g, (_all, path: string) => JSON.stringify(`${root}dist/${path}.js`))
      .replaceAll(/"\.\/([^"]+)\.ts"/g, '"./$1.js"');
    const { outputText } = ts.transpileModule(text, {
      compilerOptions: {
        target: ts.ScriptTarget.ES2023,
        module: ts.ModuleKind.ESNext,
        verbatimModuleSyntax: true,
      },
    });
    writeFileSync(built + file.replace(/\.ts$/, ".js"), outputText);
  }
}
