/** The safety checks of plugins: asked in this thread, right before a frame leaves for an ECU. Without one nothing is in the way. */
import { Fault, reasonOf } from "#core/errors.ts";
import { makeOfModule } from "#core/module.ts";
import type { CheckBeforeSend, SendFacts } from "#fleet/messages.ts";

const TESTER_PRESENT = 0x3e;

/** The part of a plugin that a shard uses. */
export interface SafetyPlugin {
  readonly name: string;
  readonly checkBeforeSend: CheckBeforeSend;
  /** Ask about tester present (0x3E) too. */
  readonly checkTesterPresent: boolean;
}

/** Who listens to the address that the bytes go to, by database name, and how it is addressed. */
export interface SendTarget {
  readonly ecus: Iterable<{ readonly name: string }>;
  readonly addressing: SendFacts["addressing"];
}

/** A fault refuses: `sendRefused` in the plugin's words, `internal` for one that fails. */
export type SendCheck = (target: SendTarget, request: Uint8Array, service: string | undefined) => Fault | undefined;

/** Loads the plugins at `paths` that have a safety check. @throws Fault invalidConfig */
export async function loadSafetyPlugins(paths: readonly string[]): Promise<readonly SafetyPlugin[]> {
  const plugins: SafetyPlugin[] = [];
  for (const path of paths) {
    const made = (await makeOfModule("plugins.modules", path, { thread: "shard" })) as
      | Partial<SafetyPlugin>
      | undefined;
    if (typeof made?.checkBeforeSend !== "function") {
      throw new Fault("invalidConfig", `plugins.modules: ${path} makes no checkBeforeSend in a shard`);
    }
    plugins.push({
      name: made.name ?? path,
      checkBeforeSend: made.checkBeforeSend.bind(made),
      checkTesterPresent: made.checkTesterPresent === true,
    });
  }
  return plugins;
}

/** Asks every plugin about every ECU; the first refusal counts. Undefined without plugins. */
export function createSendCheck(
  plugins: readonly SafetyPlugin[],
  onProblem: (message: string) => void,
): SendCheck | undefined {
  if (plugins.length === 0) return undefined;
  const keepAliveToo = plugins.some(({ checkTesterPresent }) => checkTesterPresent);
  return ({ ecus, addressing }, bytes, service) => {
    const sid = bytes[0] ?? 0;
    if (sid === TESTER_PRESENT && !keepAliveToo) return undefined;
    for (const plugin of plugins) {
      if (sid === TESTER_PRESENT && !plugin.checkTesterPresent) continue;
      for (const { name: ecu } of ecus) {
        const fault = ask(plugin, { ecu, addressing, service, sid, request: bytes.slice() });
        if (fault?.kind === "internal") onProblem(fault.message);
        if (fault !== undefined) return fault;
      }
    }
    return undefined;
  };
}

function ask({ name: plugin, checkBeforeSend }: SafetyPlugin, facts: SendFacts): Fault | undefined {
  let said: unknown;
  try {
    said = checkBeforeSend(facts);
  } catch (error) {
    return failed(plugin, reasonOf(error));
  }
  if (said === undefined) return undefined;
  if (typeof said === "string") return new Fault("sendRefused", said, { plugin, sid: facts.sid });
  // of a promise nobody waits for: what it brings comes too late
  if (said instanceof Promise) said.catch(() => {});
  return failed(plugin, "it must answer with a text or undefined, at once");
}

/** What is not known to be safe is not sent. */
function failed(plugin: string, reason: string): Fault {
  return new Fault("internal", `Plugin ${plugin}: checkBeforeSend failed: ${reason}`);
}
