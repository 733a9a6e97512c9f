/** The life of the connection to one gateway as a table. Side effects happen elsewhere, on the state that is entered. */

export type State =
  | "idle"
  | "connecting"
  | "activating"
  | "securing"
  | "activatingTls"
  | "ready"
  | "waiting"
  | "dormant"
  | "closed";

/**
 * `lost` and `flapped`: a ready connection ended, after a while or right away. `failed`: an attempt ended. `wake`: a sign of life, so
 * try now. `demand`: a request wants the connection; it must not shorten the pause between attempts. `exhausted`: all attempts are used
 * up. `moved`: the gateway has another address now; a ready connection is probed first and ends as `lost`. `typeRefused`: the
 * gateway does not know the activation type that its announcement asked for, so the default one is tried at once.
 */
export type Input =
  | "wake"
  | "demand"
  | "connected"
  | "activated"
  | "tlsRequired"
  | "typeRefused"
  | "failed"
  | "lost"
  | "flapped"
  | "moved"
  | "retry"
  | "exhausted"
  | "close";

export const TRANSITIONS: Readonly<Record<State, Partial<Record<Input, State>>>> = {
  idle: { wake: "connecting", demand: "connecting", close: "closed" },
  connecting: { connected: "activating", failed: "waiting", moved: "connecting", close: "closed" },
  activating: {
    activated: "ready",
    tlsRequired: "securing",
    typeRefused: "connecting",
    failed: "waiting",
    moved: "connecting",
    close: "closed",
  },
  // TLS is the answer to a refusal of the plain connection, so a second refusal is a failure.
  securing: { connected: "activatingTls", failed: "waiting", moved: "connecting", close: "closed" },
  activatingTls: {
    activated: "ready",
    typeRefused: "connecting",
    failed: "waiting",
    moved: "connecting",
    close: "closed",
  },
  ready: { lost: "connecting", flapped: "waiting", close: "closed" },
  waiting: { retry: "connecting", wake: "connecting", moved: "connecting", exhausted: "dormant", close: "closed" },
  dormant: { wake: "connecting", demand: "connecting", moved: "connecting", close: "closed" },
  closed: {},
};

/** The state after an input; inputs that a state does not know change nothing. */
export function next(state: State, input: Input): State {
  return TRANSITIONS[state][input] ?? state;
}
