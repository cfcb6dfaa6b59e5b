// Prints the closing line of a test run from vitest's JSON report, and exits 1 when anything failed.
// Usage: count-tests.js REPORT VITEST_STATUS FAILED_STEPS
import { readFileSync } from "node:fs";

const [path, vitestStatus, failedSteps] = process.argv.slice(2);

function readReport() {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    console.error(`expected vitest's report, found none: ${error.message}`);
    return { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0, testResults: [] };
  }
}

const report = readReport();
// A file that cannot be loaded, or whose hooks fail, has no failed test of its own.
const brokenFiles = report.testResults.filter(
  (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
);
for (const file of brokenFiles) console.error(`failed as a whole: ${file.name}`);

const passed = report.numPassedTests;
const skipped = report.numPendingTests + report.numTodoTests;
let failed = report.numFailedTests + brokenFiles.length + Number(failedSteps);
// Errors outside any test, and runs that ended before they wrote a report.
if (failed === 0 && (vitestStatus !== "0" || passed === 0)) failed = 1;

console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = failed > 0 ? 1 : 0;
