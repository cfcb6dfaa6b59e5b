/** The configuration as text: the commented example of `config init` and the effective values of `config print`. */
import { stringify } from "yaml";
import type { Config } from "../contract/config.ts";

/** A complete example; the lines that begin with `#` show the defaults. */
export const exampleConfig = `# Headroom configuration. Check it with: headroom config validate FILE
# \${VAR} and \${VAR:-default} take a variable's value; HEADROOM_<SECTION>_<KEY> overrides a setting.

binary:
  # With a slash a path (relative to this file), without one a name on the PATH.
  path: "sha256sum"
  # {input} {output} {dir} {name} {stem} {ext} {index} {run}; {inputs} alone makes one call per chunk.
  # Without {output} the standard output is kept as the output.
  flags:
    - "{input}"

directories:
  # A folder, a glob or a file.
  input: "./input"
  output: "./output"

resources:
  # max_processes: 3
  # memory_threshold_percent: 90
  cpu_threshold_percent: 100

limits:
  timeout_seconds: 1h
  kill_after_seconds: 2s
  log_bytes: 8KiB
  # output_max_bytes: 1TiB
  # Ends the run once more files than this have failed: a number, or a share such as "5%".
  # max_failures: 100

# Attempts and pauses by failure class: exit, signal, timeout, out-of-memory, bad-input, bad-output, node-lost,
# infrastructure, policy, budget, stuck, cancelled.
retry:
  exit:
    attempts: 2
    backoff_ms: 500ms
    backoff_factor: 2
    max_backoff_ms: 30s

chunk:
  max_files: 512
  max_bytes: 64MiB
  target_ms: 400

output:
  name: "{dir}/{name}.output"
  allow_empty: false
  # Must exit 0 for the output to be kept.
  # check: ["test", "-s", "{output}"]

input:
  include: []
  exclude: []
  # skip (in a folder, where nothing is said), follow (in a list, likewise; only what stays inside the input) or refuse.
  # symlinks: skip
  hidden: false
  min_bytes: 0
  # max_bytes: 10GiB
  # check: ["file", "{input}"]

# What one process asks for; labels say which workers may take it. Without memory it is learned.
profiles:
  default:
    # memory: 512MiB
    cpu: 1
    labels: []
profile: default

# Variables for the processes, and the names of those handed on from the worker's own environment.
env: {}
env_allow: [PATH, LANG, LC_ALL, TZ, TMPDIR]

success_exit_codes: [0]

logging:
  level: info

calibration:
  files: 0

# Without an address Redis and the store are embedded.
# redis:
#   url: "\${REDIS_URL}"
#   prefix: headroom
# store:
#   url: "\${STORE_URL}"

# What runs may use on this machine, whoever asks: absolute paths. What is absent is any, an empty list is nothing.
# A binary may be pinned: { path: "/opt/tool", sha256: "64 hexadecimal digits" }
# allow:
#   binaries: [/usr/bin/sha256sum]
#   read: [/data/in]
#   write: [/data/out]
#   env: [LANGUAGE]
#   models: [/data/models]
#   # Of flows alone.
#   tools: [search]
#   network: false
#   sandbox: files
#   limits: { nodes: 1000, depth: 20, width: 500, total_seconds: 6h, memory: 4GiB, cost_usd: 5, attempts: 3 }

# Who plans the goals of headroom run --goal. Keys are in a variable or a file, never here.
# planners:
#   claude: { kind: claude-code, budget: { calls: 8, tokens: 500000, usd: 2, seconds: 900 } }
#   local: { kind: openai, url: "http://127.0.0.1:8000/v1", model: "a-model", key_env: LOCAL_KEY }

# Programs that agents of flows are.
# agents:
#   default: { command: [claude, -p, "{prompt}", --max-turns, "{max_turns}"] }

# worker:
#   labels: []
#   drain_seconds: 25
#   ops_host: 127.0.0.1
#   ops_port: 0
`;

/** The effective values as YAML that can be loaded again, but for passwords, which are starred out. */
export function printConfig(config: Config): string {
  return stringify(withoutPasswords(config), { lineWidth: 0, singleQuote: false });
}

/** The effective values with the passwords of addresses starred out. */
export function withoutPasswords(config: Config): Config {
  const { redis, store, planners } = config;
  const safePlanners = Object.entries(planners).map(([name, planner]) => {
    return [name, planner.kind === "openai" ? withSafeUrl(planner) : planner] as const;
  });
  return {
    ...config,
    redis: withSafeUrl(redis),
    store: withSafeUrl(store),
    planners: Object.fromEntries(safePlanners),
  };
}

function withSafeUrl<T extends { readonly url?: string | undefined }>(section: T): T {
  if (section.url === undefined) return section;
  return { ...section, url: section.url.replace(/^([a-z]+:\/\/[^:@/]*):.*@/, "$1:***@") };
}
