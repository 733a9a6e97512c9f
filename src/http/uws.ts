/** The one module that loads uWebSockets.js: the official package when it is installed, else a repacking from the registry. */

import type * as Uws from "uWebSockets.js";
import { createRequire } from "node:module";
import { Fault, reasonOf } from "#core/errors.ts";

export type { AppOptions, HttpRequest, HttpResponse, TemplatedApp, us_listen_socket } from "uWebSockets.js";
export type UwsModule = typeof Uws;

/** First that loads wins. The official package is installed under its own name and so replaces the repacking. */
const CANDIDATES = ["uWebSockets.js", "@uwsjs/core"] as const;
/** Its default of 4 KiB refuses a long token. Read by the addon when it is loaded, never after. */
const HEADERS_ENV = "UWS_HTTP_MAX_HEADERS_SIZE";

/**
 * Loads the addon with room for `maxHeaderBytes` of request headers. Fault `misconfigured` names what to install when no build fits
 * this Node and libc.
 */
export function loadUws(maxHeaderBytes: number, candidates: readonly string[] = CANDIDATES): UwsModule {
  process.env[HEADERS_ENV] ??= String(maxHeaderBytes);
  const require = createRequire(import.meta.url);
  const problems: string[] = [];
  for (const name of candidates) {
    try {
      return require(name) as UwsModule;
    } catch (error) {
      problems.push(`${name}: ${firstLine(error)}`);
    }
  }
  throw new Fault("misconfigured", advice(problems));
}

function advice(problems: readonly string[]): string {
  const here = `Node ${process.versions.node} (ABI ${process.versions.modules}), ${process.platform} ${process.arch}, ${libc()}`;
  return [
    `uWebSockets.js has no build for ${here}.`,
    "Install one that fits: npm:@uwsjs/core@20.51.4 (Node 20, 22, 23; glibc of Debian 12),",
    "npm:@uwsjs/core@20.69.0 (Node 22, 24, 26; glibc 2.38), or the official package uNetworking/uWebSockets.js from GitHub.",
    `Tried: ${problems.join("; ")}`,
  ].join(" ");
}

function libc(): string {
  const header = (process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined)?.header;
  return header?.glibcVersionRuntime === undefined ? "no glibc (musl?)" : `glibc ${header.glibcVersionRuntime}`;
}

function firstLine(error: unknown): string {
  return reasonOf(error).split("\n", 1)[0] ?? "";
}
