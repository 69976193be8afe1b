// A TCP proxy that can cut the connection to a server and restore it.

import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class Proxy {
  #server: Server;
  #open = new Set<Socket>();
  #isCut = false;

  private constructor(to: URL) {
    this.#server = createServer((near) => {
      if (this.#isCut) return near.destroy();
      const far = connect(Number(to.port), to.hostname);
      for (const end of [near, far]) {
        this.#open.add(end);
        end.on('error', () => {});
        end.once('close', () => {
          this.#open.delete(end);
          near.destroy();
          far.destroy();
        });
      }
      near.pipe(far).pipe(near);
    });
  }

  static async to(url: string): Promise<Proxy> {
    const proxy = new Proxy(new URL(url));
    await once(proxy.#server.listen(0, '127.0.0.1'), 'listening');
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  cut(): void {
    this.#isCut = true;
    for (const end of this.#open) end.destroy();
  }

  restore(): void {
    this.#isCut = false;
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}
