/** The server with the rich demo databases and its simulator, quick to give up on an answer. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { functionalDescription, richDatabase } from "../e2e/appendix-a-databases.ts";
import { type Harness, startHarness, writeDatabase } from "../e2e/harness.ts";

const ECUS = ["CENTRAL", "BODY", "CLIMATE", "ENGINE", "BRAKES", "CAMERA"];
/** So long something is asked for again: an answer that comes too late, on a machine that stalls, is no fault. */
const PATIENCE_MS = 60_000;

const inForce = (ms: number) => ({ value: { secs: 0, nanos: ms * 1_000_000 }, precedence: "Config" });

export async function fuzzVehicle(): Promise<Harness> {
  const harness = await startHarness({
    prepare: async (folder) => {
      await writeDatabase(folder, richDatabase("CENTRAL"));
      await writeDatabase(folder, functionalDescription());
    },
    config: {
      com_params: {
        uds: {
          timeout_default: inForce(60),
          rc_78_timeout: inForce(60),
          rc_78_completion_timeout: inForce(150),
          rc_21_completion_timeout: inForce(150),
          rc_94_completion_timeout: inForce(150),
          rc_21_repeat_request_time: inForce(40),
          rc_94_repeat_request_time: inForce(40),
          repeat_req_count_app: { value: 0, precedence: "Config" },
        },
        doip: { connection_retry_delay: inForce(100) },
      },
    },
  });
  await writeFile(join(harness.folder, "flash", "image.bin"), Buffer.alloc(1_000, 7));
  for (const ecu of ECUS) await online(harness, ecu);
  return harness;
}

/** Detection gives up as quickly as everything else here: a machine that stalls needs some more of it. */
async function online({ http, server }: Harness, ecu: string): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  while (server.fleet.ecu(ecu)?.state !== "Online") {
    if (performance.now() > endMs) throw new Error(`${ecu} is ${server.fleet.ecu(ecu)?.state}`);
    await http.put(`/components/${ecu}`);
  }
}

/** Throws unless the server still reads a value, and no worker has died since `threads` was taken. */
export async function requireSound({ http, server }: Harness, threads: readonly (number | undefined)[]): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const now = threadsOf(server);
    if (now.join() !== threads.join()) throw new Error(`a worker died: threads ${threads.join()} → ${now.join()}`);
    const { status, text } = await http.get("/components/central/data/vin");
    if (status === 200) return;
    if (performance.now() > endMs) throw new Error(`no value any more: ${status} ${text}`);
  }
}

export function threadsOf({ fleet }: Harness["server"]): (number | undefined)[] {
  return fleet.shards.map(({ threadId }) => threadId);
}

/** Server errors that the reference names; anything else above 499 is one of ours. */
const NAMED = new Set([502, 503, 504]);
const NAMED_500 = ["sovd-server-misconfigured"];

/** Throws for an answer that no client should ever see. */
export function requireNamed(status: number, text: string): void {
  if (status < 500 || NAMED.has(status)) return;
  let code: unknown;
  try {
    code = JSON.parse(text).error_code;
  } catch {
    code = undefined;
  }
  if (status === 500 && NAMED_500.includes(String(code))) return;
  throw new Error(`status ${status}: ${text.slice(0, 300)}`);
}
