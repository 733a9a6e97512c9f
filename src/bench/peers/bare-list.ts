/** The fastest list there can be on this machine: bare uWebSockets.js that sends the same bytes, whatever is asked. */
import { JSON_TYPE } from "#core/media-types.ts";
import { loadUws } from "./uws.ts";

/** Answers every request with `body`. Resolves to the port. */
export function startBareList(body: string, host: string): Promise<number> {
  const uws = loadUws();
  return new Promise((resolve, reject) => {
    uws
      .App()
      .any("/*", (res) => {
        res.writeHeader("Content-Type", JSON_TYPE);
        res.end(body);
      })
      .listen(host, 0, (socket) => {
        if (socket === false) reject(new Error(`cannot listen on ${host}`));
        else resolve(uws.us_socket_local_port(socket));
      });
  });
}
