/** A TCP port before a unix socket, whose connections can be made to hang: they stay open and hand on nothing. */
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { once } from "node:events";

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  isFrozen: boolean;
  sent: string;
}

const KEPT = 4_096;

export class TcpProxy implements AsyncDisposable {
  readonly #pairs = new Set<Pair>();
  readonly #server = createServer((near) => {
    this.#join(near);
  });
  readonly #socket: string;
  #isFreezing = false;
  #isCut = false;

  private constructor(socket: string) {
    this.#socket = socket;
  }

  static async before(socket: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(socket);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Connections over which this command was sent hang from now on, and so do all new ones; how many there were. */
  freeze(command: string): number {
    this.#isFreezing = true;
    const chosen = [...this.#pairs].filter((pair) => pair.sent.toLowerCase().includes(command));
    for (const pair of chosen) pair.isFrozen = true;
    return chosen.length;
  }

  /** New connections work again; those that hang do so for ever. */
  thaw(): void {
    this.#isFreezing = false;
  }

  /** The network is cut: nothing passes, on old connections or new ones, and nothing is told of it. */
  cut(): void {
    this.#isCut = true;
    for (const { near, far } of this.#pairs) for (const socket of [near, far]) socket.pause();
  }

  /** The network is whole again: what was sent meanwhile arrives. */
  heal(): void {
    this.#isCut = false;
    for (const { near, far } of this.#pairs) for (const socket of [near, far]) socket.resume();
  }

  /** Destroys all connections; new ones work. */
  drop(): void {
    this.thaw();
    for (const { near } of this.#pairs) near.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
    this.#server.close();
    await once(this.#server, "close");
  }

  #join(near: Socket): void {
    const far = connect(this.#socket);
    const pair: Pair = { near, far, isFrozen: this.#isFreezing, sent: "" };
    this.#pairs.add(pair);
    near.on("data", (bytes) => {
      pair.sent = (pair.sent + bytes.toString("latin1")).slice(-KEPT);
      if (!pair.isFrozen) far.write(bytes);
    });
    far.on("data", (bytes) => {
      if (!pair.isFrozen) near.write(bytes);
    });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      if (this.#isCut) one.pause();
      one.on("error", () => other.destroy());
      one.on("close", () => {
        other.destroy();
        this.#pairs.delete(pair);
      });
    }
  }
}
