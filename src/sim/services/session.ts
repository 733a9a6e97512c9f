/** Sessions, reset, tester present, communication control, DTC setting (ISO 14229-1 clause 10). */

import { hexByte } from "#core/bytes.ts";
import { accept, type Definition, type Handler, refuse } from "../matching.ts";
import {
  COMMUNICATION_CONTROL,
  type CommunicationControlType,
  DTC_SETTINGS,
  type DtcSettingType,
  type EcuState,
  SESSIONS,
  type Session,
} from "../state.ts";

/** P2 server maximum 50 ms, P2* server maximum 5 s in units of 10 ms. */
const SESSION_PARAMETER_RECORD = [0x00, 0x32, 0x01, 0xf4];
const RESETS = [0x01, 0x02, 0x03];
const ERA_AT = 3;

/** Entering a session other than the default one starts S3; the programming session also starts the boot loader. */
export function enterSession(state: EcuState, session: Session): void {
  state.sessionState = session;
  state.s3 = session !== "DEFAULT";
  if (session === "PROGRAMMING") state.variant = "BOOT";
}

/** What S3's end changes: session and variant. Security and authentication stay. */
export function expireSession(state: EcuState): void {
  state.s3 = false;
  if (state.sessionState === "DEFAULT" && state.securityAccess === "LOCKED") return;
  state.sessionState = "DEFAULT";
  state.variant = "APPLICATION";
}

const reset: Handler = (state, request) => {
  state.securityAccess = "LOCKED";
  state.sessionState = "DEFAULT";
  state.variant = "APPLICATION";
  state.s3 = false;
  if (request[1] === RESETS[0]) state.hardResetPendingSeconds = state.hardResetForSeconds;
  return accept(request);
};

function changeSession(session: Session): Handler {
  return (state, request) => {
    enterSession(state, session);
    return accept(request, SESSION_PARAMETER_RECORD);
  };
}

function controlCommunication(type: CommunicationControlType): Handler {
  return (state, request) => {
    state.communicationControlType = type;
    state.temporalEraId = undefined;
    return accept(request);
  };
}

const synchronizeTime: Handler = (state, request) => {
  if (request.length < ERA_AT + 4) return refuse(request, "incorrectMessageLengthOrInvalidFormat");
  state.communicationControlType = "TEMPORAL_SYNC";
  state.temporalEraId = new DataView(request.buffer, request.byteOffset).getInt32(ERA_AT);
  return accept(request);
};

function setDtcSetting(type: DtcSettingType): Handler {
  return (state, request) => {
    state.dtcSettingType = type;
    return accept(request);
  };
}

export const SESSION_SERVICES: readonly Definition[] = [
  ...entries(SESSIONS).map(([name, { subFunction }]): Definition => [`10${hexByte(subFunction)}`, changeSession(name)]),
  ...RESETS.map((subFunction): Definition => [`11${hexByte(subFunction)}`, reset]),
  ["3E00", (_, request) => accept(request)],
  ["3E80", () => undefined],
  ...entries(COMMUNICATION_CONTROL).map(
    ([type, subFunction]): Definition =>
      type === "TEMPORAL_SYNC"
        ? [`28${hexByte(subFunction)}01[]`, synchronizeTime]
        : [`28${hexByte(subFunction)}01`, controlCommunication(type)],
  ),
  ...entries(DTC_SETTINGS).map(([type, value]): Definition => [`85${hexByte(value)}`, setDtcSetting(type)]),
];

function entries<K extends string, V>(table: Readonly<Record<K, V>>): [K, V][] {
  return Object.entries(table) as [K, V][];
}
