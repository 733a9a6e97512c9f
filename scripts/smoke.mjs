// Starts the installed program of a folder on a free port with an empty configuration, asks /health, stops it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const FOLDER = process.argv[2] ?? ".";
const PATIENCE_MS = 30_000;
const RETRY_MS = 100;

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** The answer of /health; throws when none comes in time or the program ends before. */
async function health(port, ended) {
  const until = performance.now() + PATIENCE_MS;
  while (performance.now() < until) {
    if (ended()) throw new Error("the program ended");
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(PATIENCE_MS) });
      return { status: answer.status, body: await answer.json() };
    } catch {
      await delay(RETRY_MS);
    }
  }
  throw new Error(`no answer within ${PATIENCE_MS} ms`);
}

const port = await freePort();
writeFileSync(join(FOLDER, "empty.toml"), "");
// the default tester address belongs to a vehicle's network, which no build machine has
const args = [
  "serve",
  "--config",
  "empty.toml",
  "--listen-address",
  "127.0.0.1",
  "--listen-port",
  `${port}`,
  "--tester-address",
  "127.0.0.1",
];
const program = spawn(join("node_modules", ".bin", "sovd-edge"), args, {
  cwd: FOLDER,
  stdio: ["ignore", "inherit", "inherit"],
});
const exit = once(program, "exit");
process.on("SIGTERM", () => program.kill());
try {
  const { status, body } = await health(port, () => program.exitCode !== null || program.signalCode !== null);
  if (status !== 200 || typeof body.status !== "string") throw new Error(`/health: ${status} ${JSON.stringify(body)}`);
  console.log(`installed program: /health 200, status ${body.status}`);
} finally {
  program.kill("SIGTERM");
}
const [code] = await Promise.race([exit, delay(PATIENCE_MS, ["timeout"], { ref: false })]);
if (code !== 0) {
  program.kill("SIGKILL");
  console.error(`the program did not end by itself with 0 after SIGTERM: ${code}`);
  process.exitCode = 1;
}
