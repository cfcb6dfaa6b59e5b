// Whether the process of this container is alive, or with "readyz", whether work may be sent to it: asks its operations
// port, as an orchestrator does. Exits 0 or 1.
const path = process.argv[2] ?? "livez";
const port = process.env.HEADROOM_OPS_PORT ?? "9100";
try {
  const answer = await fetch(`http://127.0.0.1:${port}/${path}`, { signal: AbortSignal.timeout(4_000) });
  if (!answer.ok) throw new Error(`/${path} answered ${answer.status}: ${await answer.text()}`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
