/**
 * A backend of the operator's. Its module is trusted to mean well, not to be right: what it makes is checked when it is loaded, what it
 * answers when it answers, and a call that does not end after its signal was aborted is left behind, so that the campaign goes on.
 */
import { type TSchema, Type } from "typebox";
import { Value } from "typebox/value";
import { Fault, reasonOf } from "#core/errors.ts";
import type { Clock, TimerHandle } from "#core/time.ts";
import type {
  ProviderContext,
  TargetFacts,
  TargetFault,
  UpdateJob,
  UpdateProvider,
} from "#update/software/provider.ts";

export interface ModuleOptions {
  /** Configuration key and file, for messages. */
  readonly where: string;
  /** Kinds that are taken. */
  readonly known: ReadonlySet<string>;
  readonly clock: Clock;
  /** How long a call may go on after its signal was aborted, and `boot` and `dispose` at all. */
  readonly patienceMs: number;
  readonly log: ProviderContext["log"];
}

const REQUIRED = ["describe", "prepare", "execute", "verify", "commit", "rollback"] as const;
const OPTIONAL = ["cancel", "close", "forget", "faults", "boot", "dispose"] as const;

const Facts = Type.Object({
  hardwareId: Type.Optional(Type.String()),
  serial: Type.Optional(Type.String()),
  version: Type.Optional(Type.String()),
  supportsRollback: Type.Boolean(),
  supportsTrial: Type.Boolean(),
  freeBytes: Type.Optional(Type.Number({ minimum: 0 })),
  verdictTimeoutMs: Type.Optional(Type.Number({ minimum: 0 })),
});
const Faults = Type.Array(
  Type.Object({
    code: Type.String(),
    severity: Type.Optional(Type.Number()),
    active: Type.Boolean(),
    confirmed: Type.Optional(Type.Boolean()),
  }),
);

/** What the default export of the module made, as a backend that keeps the contract. @throws Fault invalidConfig */
export function providerOfModule(made: unknown, options: ModuleOptions): UpdateProvider {
  const provider = providerIn(made, options);
  const { kind } = provider;
  const { patienceMs } = options;
  const answered = <T>(name: string, schema: TSchema, answer: T): T => {
    const value = Value.Clone(answer);
    if (Value.Check(schema, Value.Clean(schema, value))) return value;
    const [first] = Value.Errors(schema, value);
    const problem = `${first?.instancePath ?? ""} ${first?.message ?? ""}`.trim();
    throw new Fault("internal", `${name} of the update provider ${kind} answers what it must not: ${problem}`);
  };
  const act = (name: "prepare" | "execute" | "verify" | "commit" | "rollback") => (job: UpdateJob) =>
    settled(async () => void (await provider[name](job)), job.signal, name, patienceMs, options);
  const further = (name: "cancel" | "close" | "forget", patienceMs = options.patienceMs) =>
    provider[name] === undefined
      ? {}
      : {
          [name]: (job: UpdateJob) => settled(async () => provider[name]?.(job), job.signal, name, patienceMs, options),
        };
  const whole = (name: "boot" | "dispose") =>
    provider[name] === undefined ? {} : { [name]: () => tried(async () => provider[name]?.(), name, options) };
  return {
    kind,
    async describe(component, signal) {
      const ask = async (): Promise<TargetFacts> => provider.describe(component, signal);
      return answered("describe", Facts, await settled(ask, signal, "describe", 0, options));
    },
    prepare: act("prepare"),
    execute: act("execute"),
    verify: act("verify"),
    commit: act("commit"),
    rollback: act("rollback"),
    ...further("cancel"),
    ...further("close"),
    // a client waits for it
    ...further("forget", 0),
    ...(provider.faults === undefined
      ? {}
      : {
          async faults(component: string, signal: AbortSignal) {
            const ask = async (): Promise<readonly TargetFault[]> => provider.faults?.(component, signal) ?? [];
            return answered("faults", Faults, await settled(ask, signal, "faults", 0, options));
          },
        }),
    ...whole("boot"),
    ...whole("dispose"),
  };
}

function providerIn(made: unknown, { where, known }: ModuleOptions): UpdateProvider {
  const refuse = (problem: string): never => {
    throw new Fault("invalidConfig", `${where}: what the default export makes ${problem}`);
  };
  if (typeof made !== "object" || made === null) return refuse("is no update provider");
  const members = made as Readonly<Record<string, unknown>>;
  const { kind } = members;
  if (typeof kind !== "string" || kind === "") return refuse("has no kind");
  if (known.has(kind)) return refuse(`calls itself ${kind}, which is built in`);
  for (const name of REQUIRED) if (typeof members[name] !== "function") return refuse(`has no function ${name}`);
  for (const name of OPTIONAL) {
    if (members[name] !== undefined && typeof members[name] !== "function")
      return refuse(`has a ${name} that is no function`);
  }
  return made as UpdateProvider;
}

/** Settles with the call, or, when that does not end in time after the abort, rejects with the abort's reason, if that is a fault. */
function settled<T>(
  call: () => Promise<T>,
  signal: AbortSignal,
  name: string,
  patienceMs: number,
  { clock, log, where }: ModuleOptions,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    let timer: TimerHandle | undefined;
    const leave = (): void => {
      log(`a call of ${where} did not end after it was aborted`, { call: name });
      reject(signal.reason instanceof Fault ? signal.reason : new Fault("notResponding", `${name} does not end`));
    };
    const onAbort = (): void => {
      timer = clock.setTimeout(leave, patienceMs);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    const finish = (): void => {
      signal.removeEventListener("abort", onAbort);
      if (timer !== undefined) clock.clearTimeout(timer);
    };
    call().then(resolve, reject).finally(finish);
  });
}

/** What belongs to no job must not keep the program from starting or ending. */
async function tried(call: () => Promise<void>, name: string, options: ModuleOptions): Promise<void> {
  const { clock, patienceMs, log, where } = options;
  const late = new AbortController();
  const timer = clock.setTimeout(() => late.abort(new Fault("requestTimeout", "It does not end")), patienceMs);
  try {
    await settled(call, late.signal, name, 0, options);
  } catch (error) {
    log(`${name} of ${where} failed`, { error: reasonOf(error) });
  } finally {
    clock.clearTimeout(timer);
  }
}
