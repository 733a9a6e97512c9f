/** Session, security access, communication control, DTC setting, authentication (ISO 14229-1, 10.2, 10.4, 10.5, 10.6, 10.8). */
import { fromHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import type { EcuCalls, ModeWrite, Reply, ServiceBody } from "#fleet/messages.ts";
import { MODE_NAMES } from "#fleet/messages.ts";
import type { ServiceEntry } from "#mdd/query/service-entry.ts";
import {
  authenticationServices,
  findModeService,
  findRequestSeedService,
  findSendKeyService,
  findSessionService,
  keyParameter,
} from "#mdd/query/service-purposes.ts";
import { findState } from "#mdd/query/state-charts.ts";
import { answerObject, parameterBytes } from "../answer.ts";
import { formatBytes } from "../codec.ts";
import type { Ecu, ExpiringMode } from "../ecu.ts";
import type { SendOptions } from "../endpoint.ts";
import { jsonReply } from "../reply.ts";
import { NO_BODY, runService } from "../run.ts";
import { modeSchema } from "../schemas.ts";
import type { CallContext } from "./call.ts";

const SEED_SUFFIX = "_requestseed";

export function modeRead(ecu: Ecu, { mode, schema }: EcuCalls["modeRead"]): Reply {
  if (ecu.life.finding.kind !== "NotTested") ecu.seedStates();
  const value = ecu.states[mode];
  if (value === undefined) throw new Fault("notFound", `Not found: state of mode ${mode} is not known`);
  return jsonReply({ name: MODE_NAMES[mode], value, ...(schema ? { schema: modeSchema("read") } : {}) });
}

export function modeWrite(ecu: Ecu, args: ModeWrite, context: CallContext): Promise<Reply> {
  switch (args.mode) {
    case "session":
      return setSession(ecu, args, context);
    case "security":
      return isSeedRequest(args) ? requestSeed(ecu, args, context) : sendKey(ecu, args, context);
    case "authentication":
      return authenticate(ecu, args, context);
    case "commctrl":
    case "dtcsetting":
      return setNamedMode(ecu, args, args.mode, context);
  }
}

function isSeedRequest({ value, key }: ModeWrite): boolean {
  return key === undefined && value.toLowerCase().endsWith(SEED_SUFFIX);
}

function changed(args: ModeWrite, value: string): Reply {
  return jsonReply({ id: args.mode, value, ...(args.schema ? { schema: modeSchema("write") } : {}) });
}

/** The service that a change runs. @throws Fault notFound, invalidParameter */
export function modeService(ecu: Ecu, args: ModeWrite): ServiceEntry {
  const { index, charts } = ecu;
  switch (args.mode) {
    case "session":
      ecu.seedStates();
      return findSessionService(index, charts, ecu.states, args.value);
    case "security":
      if (isSeedRequest(args)) {
        return findRequestSeedService(ecu.loaded.database, index, args.value.slice(0, -SEED_SUFFIX.length));
      }
      ecu.seedStates();
      return findSendKeyService(index, charts, ecu.states, args.value);
    case "authentication":
      return authenticationService(ecu, args.value);
    case "commctrl":
    case "dtcsetting":
      return findModeService(index, args.mode, args.value);
  }
}

async function setSession(ecu: Ecu, args: ModeWrite, context: CallContext): Promise<Reply> {
  const service = modeService(ecu, args);
  await runService(ecu, service, bodyOf(args), context.send);
  ecu.states = { ...ecu.states, session: findState(ecu.charts.session, args.value) ?? args.value };
  expire(ecu, "session", args.expirationS);
  return changed(args, ecu.states.session ?? args.value);
}

/** `<Level>_RequestSeed` answers the seed; the caller's own tool makes the key of it. */
async function requestSeed(ecu: Ecu, args: ModeWrite, context: CallContext): Promise<Reply> {
  const service = modeService(ecu, args);
  const answer = await runService(ecu, service, bodyOf(args), context.send);
  const seed = { Request_Seed: formatBytes(parameterBytes(answer), "hex") };
  return jsonReply({ id: args.mode, seed, ...(args.schema ? { schema: modeSchema("seed") } : {}) });
}

async function sendKey(ecu: Ecu, args: ModeWrite, context: CallContext): Promise<Reply> {
  const service = modeService(ecu, args);
  const name = keyParameter(ecu.loaded.database, service);
  await runService(ecu, service, keyBody(args, name), context.send);
  ecu.states = { ...ecu.states, security: findState(ecu.charts.security, args.value) ?? args.value };
  expire(ecu, "security", args.expirationS);
  return changed(args, ecu.states.security ?? args.value);
}

function keyBody({ key, parameters }: ModeWrite, name: string | undefined): ServiceBody {
  if (key === undefined) throw new Fault("badRequest", "RequestSeed is not set but no key is given.");
  if (name !== undefined) return { type: "json", parameters: { ...parameters, [name]: key } };
  const bytes = fromHex(key.replaceAll(/0x|,/gi, ""));
  if (bytes === undefined) throw new Fault("badRequest", "Invalid request: the key is not hexadecimal");
  return { type: "raw", bytes };
}

async function setNamedMode(
  ecu: Ecu,
  args: ModeWrite,
  mode: "commctrl" | "dtcsetting",
  context: CallContext,
): Promise<Reply> {
  const service = modeService(ecu, args);
  await runService(ecu, service, bodyOf(args), context.send);
  ecu.seedStates();
  ecu.states = { ...ecu.states, [mode]: args.value.toLowerCase() };
  return changed(args, args.value);
}

/** Authentication (0x29): the value names the sub-function; what the ECU answers goes back decoded. */
async function authenticate(ecu: Ecu, args: ModeWrite, context: CallContext): Promise<Reply> {
  const service = modeService(ecu, args);
  const answer = await runService(ecu, service, bodyOf(args), context.send);
  ecu.seedStates();
  ecu.states = { ...ecu.states, authentication: args.value.toLowerCase() };
  const parameters = answerObject(answer) ?? {};
  const schema = args.schema ? { schema: modeSchema("authentication") } : {};
  return jsonReply({ id: args.mode, value: args.value, parameters, ...schema });
}

function authenticationService(ecu: Ecu, value: string): ServiceEntry {
  const services = authenticationServices(ecu.index);
  const wanted = plain(value);
  const found =
    services.find(({ shortName }) => plain(shortName) === wanted) ??
    services.find(({ shortName }) => plain(shortName).endsWith(wanted));
  if (found !== undefined && wanted !== "") return found;
  const possibleValues = services.map(({ shortName }) => shortName);
  throw new Fault("invalidParameter", "The parameter value is not valid", { possibleValues });
}

function plain(name: string): string {
  return name.replaceAll("_", "").toLowerCase();
}

function bodyOf({ parameters }: ModeWrite): ServiceBody {
  return parameters === undefined ? NO_BODY : { type: "json", parameters };
}

/** After the time the default is asked for again; a new change takes the old timer's place. */
function expire(ecu: Ecu, mode: ExpiringMode, expirationS: number | undefined): void {
  ecu.expiries.clear(mode);
  if (expirationS === undefined || expirationS === 0) return;
  ecu.expiries.set(mode, expirationS * 1_000, () => void restoreDefault(ecu, mode));
}

/** Asks for the start state of a chart, if it is not the one tracked. Never rejects: the ECU's own timers do the rest. */
export async function restoreDefault(ecu: Ecu, mode: ExpiringMode, options: SendOptions = {}): Promise<void> {
  const current = ecu.states[mode];
  if (current === undefined || ecu.held.retired) return;
  try {
    await ecu.use(async () => {
      const start = ecu.charts[mode]?.start;
      if (start === undefined || current.toLowerCase() === start.toLowerCase()) return;
      const find = mode === "session" ? findSessionService : findSendKeyService;
      await runService(ecu, find(ecu.index, ecu.charts, ecu.states, start), NO_BODY, options);
      ecu.states = { ...ecu.states, [mode]: start };
    });
  } catch {
    // Most databases have no service that locks again; the session's end locks as well.
  }
}
