// Whether the process of this container is alive: asks its operations port, as an orchestrator does. Exits 0 or 1.
const port = process.env.HEADROOM_OPS_PORT ?? "9100";
try {
  const answer = await fetch(`http://127.0.0.1:${port}/livez`, { signal: AbortSignal.timeout(3_000) });
  if (!answer.ok) throw new Error(`/livez answered ${answer.status}: ${await answer.text()}`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
