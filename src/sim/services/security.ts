/** Security access (ISO 14229-1 clause 10.4): one fixed seed, key = seed + 0x0D per byte, no attempt counter. */
import { hexByte } from "#core/bytes.ts";
import { accept, type Definition, type Handler, refuse } from "../matching.ts";
import { SECURITY_LEVELS, type SecurityAccess } from "../state.ts";

const SEED = Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7);
const KEY_OFFSET = 0x0d;
const KEY_AT = 2;

const requestSeed: Handler = (state, request) => {
  state.seed = SEED;
  return accept(request, SEED);
};

/** The key is not tied to the level whose seed was asked for; a wrong key keeps the seed. */
function sendKey(level: SecurityAccess): Handler {
  return (state, request) => {
    const { seed } = state;
    if (seed === undefined) return refuse(request, "requestSequenceError");
    const key = request.subarray(KEY_AT);
    const right = key.length === seed.length && key.every((byte, i) => byte === seed[i]! + KEY_OFFSET);
    if (!right) return refuse(request, "invalidKey");
    state.securityAccess = level;
    state.seed = undefined;
    return accept(request);
  };
}

export const SECURITY_SERVICES: readonly Definition[] = [
  ["27", (_, request) => refuse(request, "generalProgrammingFailure")],
  ...(Object.entries(SECURITY_LEVELS) as [SecurityAccess, number][])
    .filter(([name]) => name !== "LOCKED")
    .flatMap(([name, seedSubFunction]): Definition[] => [
      [`27${hexByte(seedSubFunction)}[]`, requestSeed],
      [`27${hexByte(seedSubFunction + 1)}[]`, sendKey(name)],
    ]),
];
