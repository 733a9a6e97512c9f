/**
 * A socket in a folder that tells whether the process behind it lives. The kernel closes it with the process and finds it by its file, so
 * that it works between containers that share the folder, whatever their pid and network namespaces.
 */
import { closeSync, openSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";

export interface LifeSign {
  /** Closes the socket and removes its file. */
  end(): void;
}

/** Listens on a socket of this name. Undefined where the file system or the system has none. */
export async function listen(folder: string, name: string): Promise<LifeSign | undefined> {
  const way = wayTo(folder);
  if (way === undefined) return undefined;
  const server = createServer((socket) => socket.destroy());
  const end = () => {
    server.close();
    rmSync(join(folder, name), { force: true });
    way.close();
  };
  return new Promise((resolve) => {
    server.once("error", () => {
      way.close();
      resolve(undefined);
    });
    server.listen(join(way.path, name), () => {
      server.unref();
      resolve({ end });
    });
  });
}

/** Whether a process listens on the socket of this name. It need not have time to answer: the kernel does. */
export async function isListening(folder: string, name: string): Promise<boolean> {
  const way = wayTo(folder);
  if (way === undefined) return false;
  return new Promise((resolve) => {
    const socket = connect(join(way.path, name));
    const done = (listening: boolean) => {
      socket.destroy();
      way.close();
      resolve(listening);
    };
    socket.once("connect", () => done(true));
    // a full queue of connections is somebody's as well
    socket.once("error", ({ code }: NodeJS.ErrnoException) => done(code === "EAGAIN"));
  });
}

/** A short path to a folder: that of a socket has room for some hundred bytes only. */
function wayTo(folder: string): { readonly path: string; close(): void } | undefined {
  if (process.platform !== "linux") return undefined;
  const descriptor = openSync(folder, "r");
  return { path: `/proc/self/fd/${descriptor}`, close: () => closeSync(descriptor) };
}
