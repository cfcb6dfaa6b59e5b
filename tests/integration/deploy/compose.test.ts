import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { renderKustomization } from "../../support/kustomize.ts";
import { fetchDebianPackages } from "../../support/debian-package.ts";
import { readCompose, type ComposeFile, type ComposeService } from "../../support/compose-file.ts";
import { workloadsOf } from "../../support/kubernetes/workloads.ts";
import { Scratch } from "../../support/scratch.ts";

const repository = join(import.meta.dirname, "../../..");

/** The settings of the trace store, as far as others rely on them. */
interface JaegerSettings {
  readonly receivers: { readonly otlp: { readonly protocols: { readonly http: { readonly endpoint: string } } } };
  readonly extensions: { readonly jaeger_query: { readonly http: { readonly endpoint: string } } };
}

const prometheusSettings = z.object({
  rule_files: z.array(z.string()),
  scrape_configs: z.array(z.object({ file_sd_configs: z.array(z.object({ files: z.array(z.string()) })).optional() })),
  alerting: z.object({
    alertmanagers: z.array(z.object({ static_configs: z.array(z.object({ targets: z.array(z.string()) })) })),
  }),
});

let compose: ComposeFile;
beforeAll(async () => {
  compose = await readCompose();
}, 240_000);

function scratchFolder(): Scratch {
  const scratch = new Scratch();
  onTestFinished(() => {
    scratch[Symbol.dispose]();
  });
  return scratch;
}

function raise(name: string): never {
  throw new Error(`expected a service ${name} in the compose file, found none`);
}

const servicesThat = (isOne: (service: ComposeService, name: string) => boolean): string[] =>
  Object.entries(compose.services).flatMap(([name, service]) => (isOne(service, name) ? [name] : []));
const isOurs = ({ image }: ComposeService) => image === "headroom:local";

describe("docker-compose.yml", () => {
  test("has every process, what they need, and what looks after them", () => {
    const processes = ["scheduler", "worker-1", "worker-2", "producer", "board"];
    expect(servicesThat(isOurs).toSorted()).toEqual([...processes, "example"].toSorted());
    const others = ["redis", "postgres", "prometheus", "alertmanager", "grafana", "jaeger"];
    expect(servicesThat((service) => !isOurs(service)).toSorted()).toEqual(others.toSorted());
  });

  test("is refused by the program when a key is unknown", async () => {
    const text = readFileSync(join(repository, "docker-compose.yml"), "utf8").replace("stop_grace_period", "grace");
    const path = scratchFolder().file("docker-compose.yml", text);
    await expect(readCompose(path)).rejects.toThrow(/grace/);
  });

  test("lets no service be root, write to its root, keep capabilities or gain some", () => {
    expect(servicesThat(({ user = "0" }) => !/^[1-9]\d*:\d+$/.test(user))).toEqual([]);
    expect(servicesThat(({ read_only: isReadOnly }) => !isReadOnly)).toEqual([]);
    expect(servicesThat(({ cap_drop: dropped }) => !dropped.includes("ALL"))).toEqual([]);
    expect(servicesThat(({ security_opt: options }) => !options.includes("no-new-privileges:true"))).toEqual([]);
  });

  test("limits what each may take, and pins what is not built here", () => {
    expect(servicesThat(({ deploy }) => deploy === undefined)).toEqual([]);
    expect(servicesThat((service) => !isOurs(service) && !/@sha256:[0-9a-f]{64}$/.test(service.image))).toEqual([]);
  });

  test("uses the same Redis, PostgreSQL and Jaeger as the manifests for Kubernetes", async () => {
    const workloads = workloadsOf(await renderKustomization("deploy/k8s/overlays/ci"));
    const images = workloads.flatMap(({ pod }) => pod.containers.map(({ image }) => image));
    expect(images).toEqual(
      expect.arrayContaining(["redis", "postgres", "jaeger"].map((name) => compose.services[name]?.image)),
    );
  });

  test("starts each when what it needs is healthy, and knows of each whether it is", () => {
    expect(servicesThat(({ healthcheck }, name) => name !== "example" && healthcheck?.test === undefined)).toEqual([]);
    const needs = (name: string) => Object.keys(compose.services[name]?.depends_on ?? {}).toSorted();
    expect(needs("scheduler")).toEqual(["postgres", "redis"]);
    for (const name of ["worker-1", "worker-2", "producer", "board"]) {
      expect(needs(name)).toEqual(["postgres", "redis", "scheduler"]);
    }
    const conditions = Object.values(compose.services).flatMap((service) => Object.values(service.depends_on));
    expect(conditions.filter(({ condition }) => condition !== "service_healthy")).toHaveLength(1);
  });

  test("publishes on this machine alone, and shuts Redis and PostgreSQL in", () => {
    const published = Object.values(compose.services).flatMap(({ ports }) => ports);
    expect(published).toHaveLength(6);
    expect(published.filter(({ host_ip: host }) => host !== "127.0.0.1")).toEqual([]);
    for (const name of ["redis", "postgres", "worker-1", "scheduler"]) {
      expect(Object.keys(compose.services[name]?.networks ?? {})).toEqual(["cluster"]);
    }
    expect(compose.networks["cluster"]?.internal).toBe(true);
  });

  test("hands secrets over as files, which one script makes, and none in a variable", () => {
    const environment = Object.values(compose.services).flatMap((service) => Object.entries(service.environment));
    const secret = environment.filter(([name]) => /PASSWORD|TOKEN|REDIS_URL|STORE_URL/.test(name));
    expect(secret.filter(([name, value]) => !name.endsWith("_FILE") || !value.startsWith("/run/secrets/"))).toEqual([]);
    const folder = scratchFolder().folder("secrets");
    const make = () => execFileSync("sh", [join(repository, "deploy/compose/secrets.sh"), folder]);
    make();
    const made = readdirSync(folder);
    expect(made.toSorted()).toEqual(
      Object.values(compose.secrets)
        .map(({ file }) => basename(file))
        .toSorted(),
    );
    // The folder is shut; a process of another user reads the one file that is mounted into its container.
    expect(statSync(folder).mode & 0o077).toBe(0);
    for (const name of made) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o444);
    const first = made.map((name) => readFileSync(join(folder, name), "utf8"));
    expect(new Set(first).size).toBe(made.length);
    make();
    expect(made.map((name) => readFileSync(join(folder, name), "utf8"))).toEqual(first);
  });

  test("has no traces unless they are asked for, and then every process sends them to the store that is started", async () => {
    const name = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const told = ({ services }: ComposeFile) => Object.values(services).map(({ environment }) => environment[name]);
    expect(servicesThat(({ profiles }) => profiles.includes("traces"))).toEqual(["jaeger"]);
    expect(told(compose).filter((url) => url !== undefined && url !== "")).toEqual([]);
    const page = readFileSync(join(repository, "docs/deploy-compose.md"), "utf8");
    const [, url = ""] = new RegExp(`^${name}=(\\S+)$`, "m").exec(page) ?? [];
    expect(page).toMatch(/^COMPOSE_PROFILES=traces$/m);
    const asked = await readCompose(undefined, { [name]: url });
    const sending = Object.entries(asked.services).flatMap(([of, { environment }]) =>
      environment[name] === url ? [of] : [],
    );
    expect(sending.toSorted()).toEqual(servicesThat(isOurs).toSorted());
    const { hostname, port } = new URL(url);
    const settings = parse(readFileSync(compose.configs[hostname]?.file ?? "", "utf8")) as JaegerSettings;
    expect(settings.receivers.otlp.protocols.http.endpoint).toBe(`0.0.0.0:${port}`);
    // What Grafana asks for a trace is where its pages are.
    expect(settings.extensions.jaeger_query.http.endpoint).toBe("0.0.0.0:16686");
    expect(compose.services[hostname]?.ports.map(({ target }) => target)).toEqual([16_686]);
  });

  test("has a PostgreSQL that the pg_dump of its images can copy, as the release of their base has it", async () => {
    const { path, loader } = await fetchDebianPackages({ suite: "trixie", packages: ["postgresql-client-17"] });
    const [command, ...args] = [...loader(), join(path, "usr/lib/postgresql/17/bin/pg_dump"), "--version"];
    const [, client] = /\(PostgreSQL\) (\d+)\./.exec(execFileSync(command, args, { encoding: "utf8" })) ?? [];
    expect(compose.services["postgres"]?.image).toMatch(new RegExp(`^postgres:${client ?? "none"}\\.`));
  });

  test("has the files of runs where they are made and removed, under one path, and elsewhere to be read", () => {
    const mountOf = ({ volumes }: ComposeService) => volumes.find(({ source }) => source === "data");
    for (const name of servicesThat(isOurs)) {
      const mount = mountOf(compose.services[name] ?? raise(name));
      const isWriter = ["scheduler", "worker-1", "worker-2", "example"].includes(name);
      expect({ name, at: mount?.target, isWriter: mount?.read_only !== true }).toEqual({ name, at: "/data", isWriter });
    }
  });

  test("has every process scraped, by a Prometheus that finds its rules, its targets and Alertmanager", () => {
    const configured = (name: string) => parse(readFileSync(compose.configs[name]?.file ?? "", "utf8")) as unknown;
    const lists = configured("targets") as { targets: string[] }[];
    const processes = servicesThat((service, name) => isOurs(service) && name !== "example");
    const ports = processes.map((name) => `${name}:${compose.services[name]?.environment["HEADROOM_OPS_PORT"] ?? ""}`);
    expect(lists.flatMap(({ targets }) => targets).toSorted()).toEqual(ports.toSorted());

    const { rule_files: rules, scrape_configs: scrapes, alerting } = prometheusSettings.parse(configured("prometheus"));
    const { configs, volumes, command } = compose.services["prometheus"] ?? raise("prometheus");
    const at = new Map(configs.map(({ source, target }) => [source, target]));
    const folder = dirname(at.get("prometheus") ?? "");
    expect(command).toContain(`--config.file=${folder}/prometheus.yml`);
    const files = scrapes.flatMap(({ file_sd_configs: found = [] }) => found.flatMap((one) => one.files));
    expect(files.map((path) => join(folder, path))).toEqual([join(dirname(at.get("targets") ?? ""), "*.yml")]);
    const mounted = volumes.find(({ source }) => source === join(repository, "deploy/prometheus/rules"));
    expect(rules.map((path) => join(folder, path))).toEqual([join(mounted?.target ?? "", "*.rules.yml")]);

    // One network is theirs together: each finds the other at 127.0.0.1, at the port that is asked whether it is well.
    const { network_mode: network, healthcheck } = compose.services["alertmanager"] ?? raise("alertmanager");
    expect(network).toBe("service:prometheus");
    const [to] = alerting.alertmanagers.flatMap((one) => one.static_configs.flatMap(({ targets }) => targets));
    expect(healthcheck?.test?.at(-1)).toBe(`http://${to ?? ""}/-/ready`);
  });

  test("has a Grafana that finds its sources and our dashboards", () => {
    const { volumes } = compose.services["grafana"] ?? raise("grafana");
    const provisioned = volumes.find(({ source }) => source === join(repository, "deploy/grafana/provisioning"));
    expect(provisioned?.target).toBe("/etc/grafana/provisioning");
    const page = (kind: string) =>
      parse(readFileSync(join(provisioned?.source ?? "", kind, "headroom.yml"), "utf8")) as unknown;
    const { datasources } = page("datasources") as { datasources: { url: string }[] };
    const known = ["prometheus", "jaeger"].map((name) => {
      const { ports } = compose.services[name] ?? raise(name);
      return `http://${name}:${ports[0]?.target ?? ""}`;
    });
    expect(datasources.map(({ url }) => url)).toEqual(known);
    const { providers } = page("dashboards") as { providers: { options: { path: string } }[] };
    const dashboards = volumes.find(({ source }) => source === join(repository, "deploy/grafana/dashboards"));
    expect(providers.map(({ options }) => options.path)).toEqual([dashboards?.target]);
  });

  test("mounts files that are there", () => {
    const configs = Object.values(compose.configs).map(({ file }) => file);
    const binds = Object.values(compose.services).flatMap(({ volumes }) =>
      volumes.filter(({ type }) => type === "bind").map(({ source }) => source),
    );
    expect([...configs, ...binds].filter((path) => !existsSync(path))).toEqual([]);
  });
});

describe("start.sh", () => {
  /** Starts with a volume that has these files, and a `docker` that runs the commands of containers here. */
  function start(files: readonly string[]): { status: number | null; stderr: string; stdout: string } {
    const scratch = scratchFolder();
    for (const path of files) {
      mkdirSync(join(scratch.path, "volume", dirname(path)), { recursive: true });
      writeFileSync(join(scratch.path, "volume", path), `${/\d+/.exec(path)?.[0] ?? "14"}\n`);
    }
    const repositoryCopy = scratch.folder("repository");
    cpSync(join(repository, "deploy/compose"), join(repositoryCopy, "deploy/compose"), { recursive: true });
    cpSync(join(repository, "deploy/redis"), join(repositoryCopy, "deploy/redis"), { recursive: true });
    const docker = `#!/bin/sh
if [ "$2" = run ]; then
  while [ "$1" != -c ]; do shift; done
  exec sh "$@"
fi
echo "docker $*"
`;
    chmodSync(scratch.file("bin/docker", docker), 0o755);
    const PGDATA = compose.services["postgres"]?.environment["PGDATA"] ?? "";
    const env = {
      PATH: `${join(scratch.path, "bin")}:${process.env["PATH"] ?? ""}`,
      PGDATA: PGDATA.replace("/var/lib/postgresql", join(scratch.path, "volume")),
    };
    return spawnSync("sh", [join(repositoryCopy, "deploy/compose/start.sh")], { env, encoding: "utf8" });
  }

  test.each([
    ["an empty volume", []],
    ["the data of its version", ["17/docker/PG_VERSION", "17/docker/base/1/PG_VERSION"]],
    ["both, once the other one was moved", ["16/docker/PG_VERSION", "17/docker/PG_VERSION"]],
  ])("starts over %s", (_, files) => {
    const { status, stdout, stderr } = start(files);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toContain("docker compose up --build --detach --wait");
  });

  test.each([
    ["18", "18/docker/PG_VERSION"],
    ["14", "data/PG_VERSION"],
    ["14", "PG_VERSION"],
  ])("refuses data of PostgreSQL %s in %s, and says how to move it", (version, file) => {
    const { status, stdout, stderr } = start([file]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    const found = `expected data of PostgreSQL 17 in the volume postgres, found only that of ${version}\n`;
    expect(stderr).toContain(found);
    const [, page = "", title = ""] = /see "([^"]+)" in (\S+);/.exec(stderr) ?? [];
    expect(readFileSync(join(repository, title), "utf8")).toContain(`## ${page}\n`);
  });
});
