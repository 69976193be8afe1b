// A wire to a server that can be cut and mended: what a network does at its worst.

import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class Wire {
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

  static async to(url: string): Promise<Wire> {
    const wire = new Wire(new URL(url));
    await once(wire.#server.listen(0, '127.0.0.1'), 'listening');
    return wire;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  cut(): void {
    this.#isCut = true;
    for (const end of this.#open) end.destroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}
