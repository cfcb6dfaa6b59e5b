/** Connections to Redis: one way to open them, one way to know that the server is safe for jobs. */
import { Redis, type Command, type RedisOptions } from "ioredis";
import { InfrastructureError } from "../contract/errors.ts";
import { equalJitterMs } from "./backoff.ts";
import type { Logger } from "./logger.ts";
import { clusterConnector, MOVED_ANSWER } from "./redis-cluster.ts";
import { parseRedisTarget } from "./redis-target.ts";

/**
 * - `command`: a call to a Redis that is down fails within `COMMAND_TIMEOUT_MS` with an InfrastructureError. For
 *   producers, the API, checks; fits BullMQ's `Queue` and `FlowProducer`.
 * - `blocking`: for one blocking reader, and what BullMQ's `Worker` asks for: calls wait until Redis is back.
 * - `subscriber`: for pub/sub; subscriptions are made again after a reconnect.
 */
export type RedisRole = "command" | "blocking" | "subscriber";

/** The longest that a call on a `command` connection waits for an answer. */
export const COMMAND_TIMEOUT_MS = 10_000;

const CONNECT_TIMEOUT_MS = 5_000;
const QUIT_MS = 2_000;
const LOG_EVERY_MS = 10_000;
const reconnect = { backoffMs: 100, backoffFactor: 2, maxBackoffMs: 3_000 };
const commandReconnect = { ...reconnect, maxBackoffMs: 1_000 };

const waitForEver = { maxRetriesPerRequest: null };
const roleOptions = {
  // Eight tries with these waits take two to five seconds: longer than a restart, shorter than a person's patience.
  command: { maxRetriesPerRequest: 7, commandTimeout: COMMAND_TIMEOUT_MS },
  blocking: waitForEver,
  subscriber: { ...waitForEver, autoResubscribe: true },
} satisfies Record<RedisRole, object>;

/**
 * Makes a connection that connects with its first command. The caller closes it with `closeRedis`.
 * @throws {InvalidInputError} when the target is not a URL of Redis.
 */
export function openRedis(target: string, role: RedisRole, logger: Logger): Redis {
  const { options, cluster, text } = parseRedisTarget(target);
  const waits = role === "command" ? commandReconnect : reconnect;
  const redis = new ExplainingRedis({
    ...options,
    // Of the first node for texts only: the connector says where to connect.
    ...(cluster && { ...cluster.seeds[0], Connector: clusterConnector(cluster) }),
    ...roleOptions[role],
    lazyConnect: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    connectionName: `headroom-${role}-${process.pid}`,
    retryStrategy: (attempt) => equalJitterMs(attempt, waits),
    // After a failover the old primary answers READONLY: connect anew, to the new one, and send the command again.
    reconnectOnError: ({ message }) => {
      const isElsewhere = message.startsWith("READONLY") || (cluster !== undefined && MOVED_ANSWER.test(message));
      return isElsewhere ? 2 : false;
    },
  });
  redis.text = text;
  logConnection(redis, text, logger.child({ redis: text, redisRole: role }));
  return redis;
}

/** Closes a connection: politely when the server answers, at once when it does not. Calls that still wait fail. */
export async function closeRedis(redis: Redis): Promise<void> {
  if (redis.status === "end") return;
  const ended = new Promise<void>((resolve) => redis.once("end", resolve));
  if (redis.status === "ready" && (await quitWithin(redis, QUIT_MS))) return ended;
  redis.disconnect();
  if (isReconnecting(redis)) {
    // Between two tries ioredis only forgets the next one: its queue would wait for ever. A try that ends at once flushes it.
    redis.connect().catch(() => undefined); // the end that was asked for
    redis.disconnect();
  }
  return ended;
}

/** Whether the server said goodbye in time. */
async function quitWithin(redis: Redis, limitMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => {
      resolve(false);
    }, limitMs);
  });
  const quit = redis.quit().then(
    () => true,
    () => redis.status === "end",
  );
  const isDone = await Promise.race([quit, late]);
  clearTimeout(timer);
  return isDone;
}

/** A function, since the compiler does not know that `disconnect` changes the status. */
function isReconnecting(redis: Redis): boolean {
  return redis.status === "reconnecting";
}

interface RedisTrouble {
  /** Where Redis should be. */
  readonly text: string;
  /** Why the last try to connect failed, if one did. */
  readonly failure?: string | undefined;
}

/** What a failed call says when the server was not reached, did not answer, or refused the login; others stay as they are. */
function explainRedisError(error: Error, { text, failure }: RedisTrouble): Error {
  if (/^(WRONGPASS|NOAUTH)/.test(error.message)) {
    // Without its cause: that one carries the arguments of AUTH.
    return new InfrastructureError(
      `expected redis at ${text} to accept the user and password, found: ${error.message}`,
    );
  }
  const found = silenceOf(error);
  if (found === undefined) return error;
  const why = failure === undefined ? "" : `: ${failure}`;
  return new InfrastructureError(`expected redis to answer at ${text}, found ${found}${why}`, { cause: error });
}

/** How Redis kept silent, in place of ioredis' advice about its options; undefined when the error is another one. */
function silenceOf(error: Error): string | undefined {
  if (error.message === "Command timed out") return `no answer within ${COMMAND_TIMEOUT_MS / 1_000} s`;
  if (error.name === "MaxRetriesPerRequestError") return "none in several tries";
  return error.name === "AbortError" ? "the connection lost" : undefined;
}

/** ioredis, but a call that Redis never answered fails with an InfrastructureError that says where Redis should be. */
class ExplainingRedis extends Redis {
  text = "";
  failure: string | undefined;
  /** Why the database that was named cannot be had. */
  #refusal: InfrastructureError | undefined;
  readonly #explained = new WeakSet<Command>();

  /** ioredis would make one that explains nothing. */
  override duplicate(override?: Partial<RedisOptions>): Redis {
    const options: object = { ...this.options, ...override };
    const copy = new ExplainingRedis(options);
    copy.text = this.text;
    return copy;
  }

  override sendCommand(...args: Parameters<Redis["sendCommand"]>): unknown {
    const [command] = args;
    // A command comes here again after a reconnect. Those of a pipeline have no other promise than their own.
    if (!this.#explained.has(command)) {
      this.#explained.add(command);
      const reject = command.reject.bind(command);
      command.reject = (error) => {
        reject(explainRedisError(error, this));
      };
    }
    if (command.name === "select") this.#watchSelect(command);
    if (this.#refusal !== undefined && this.status === "ready") {
      command.reject(this.#refusal);
      return command.promise;
    }
    return super.sendCommand(...args);
  }

  /** ioredis goes on with database 0 when the server refuses the one that was named: jobs would go to another cluster. */
  #watchSelect({ promise }: Command): void {
    void promise.then(
      () => (this.#refusal = undefined),
      (error: unknown) => {
        if (!(error instanceof Error) || error.name !== "ReplyError") return;
        const expected = `expected redis at ${this.text} to have the database that it names`;
        this.#refusal = new InfrastructureError(`${expected}, found: ${error.message}`, { cause: error });
      },
    );
  }
}

/** One line when the connection is lost, at most one each `LOG_EVERY_MS` while it stays lost, one when it is back. */
function logConnection(redis: ExplainingRedis, text: string, logger: Logger): void {
  let lastLoggedMs = -Infinity;
  let failures = 0;
  redis.on("error", (error: Error) => {
    failures += 1;
    // An AggregateError of several addresses has a code and no message.
    const { message, code } = error as NodeJS.ErrnoException;
    redis.failure = message === "" ? (code ?? error.name) : message;
    const nowMs = performance.now();
    if (nowMs - lastLoggedMs < LOG_EVERY_MS) return;
    lastLoggedMs = nowMs;
    // The error object can carry the command and its arguments, AUTH among them: only its message and code are logged.
    logger.warn({ reason: redis.failure, failures }, "redis connection failed");
  });
  redis.on("ready", () => {
    if (failures > 0) logger.info({ failures }, "redis connection is back");
    failures = 0;
    redis.failure = undefined;
    lastLoggedMs = -Infinity;
  });
  logger.debug({ redis: text }, "redis connection made");
}
