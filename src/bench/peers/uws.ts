/** uWebSockets.js as it is, for the peers that the server is measured against. */

import type * as Uws from "uWebSockets.js";
import { createRequire } from "node:module";

export function loadUws(): typeof Uws {
  return createRequire(import.meta.url)("uWebSockets.js") as typeof Uws;
}
