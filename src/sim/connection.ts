/** One TCP connection of a tester with a DoIP entity: activation, diagnostic messages, alive check, inactivity. */
import type { Socket } from "node:net";
import type { Clock, TimerHandle } from "#core/time.ts";
import {
  type DiagnosticMessage,
  decodePayload,
  encode,
  encodeDiagnosticMessage,
  genericNack,
  type Message,
} from "#doip/codec.ts";
import { StreamFramer } from "#doip/framing.ts";
import {
  activationCode,
  DIAGNOSTIC_ACK_CODE,
  DIAGNOSTIC_NACKS,
  PAYLOAD_BY_TYPE,
  PROTOCOL_VERSIONS,
  TIMERS,
} from "#doip/tables.ts";
import { type ActivationRequest, decideActivation, type SocketEntry } from "./activation.ts";
import type { Ecu } from "./ecu.ts";
import type { SimEvents } from "./events.ts";
import { type EntityMisbehaviour, uses } from "./misbehaviour.ts";
import type { Emission, Plan } from "./plan.ts";
import { FrameWriter } from "./writer.ts";

/** The version in everything that the simulator sends. */
export const VERSION = PROTOCOL_VERSIONS.iso2012;
const NOTHING = new Uint8Array(0);

/** What a connection needs of the endpoint that it belongs to. */
export interface ConnectionHost {
  readonly name: string;
  /** Of the first entity: it speaks for all that share the endpoint. */
  readonly logicalAddress: number;
  readonly misbehaviour: EntityMisbehaviour;
  readonly maxDataBytes: number;
  readonly clock: Clock;
  readonly events: SimEvents;
  readonly connections: ReadonlySet<Connection>;
  ecu(logicalAddress: number): Ecu | undefined;
  /** ECUs that a functional address reaches; undefined: not a functional address. */
  functionalGroup(address: number): readonly Ecu[] | undefined;
  /** The ECU's response has been written: time for a hard reset that it asked for. */
  responded(ecu: Ecu): void;
}

export class Connection implements SocketEntry {
  sourceAddress: number | undefined;
  readonly secure: boolean;
  readonly #socket: Socket;
  readonly #host: ConnectionHost;
  readonly #writer: FrameWriter;
  readonly #timers = new Set<TimerHandle>();
  /** Those of the rules: they start anew when the rules change. */
  readonly #watches = new Set<TimerHandle>();
  readonly #working = new Map<Ecu, Plan>();
  #held: Uint8Array | undefined;
  #lastActivityMs: number;
  #aliveCheck: { readonly result: Promise<boolean>; readonly answered: (alive: boolean) => void } | undefined;

  constructor(socket: Socket, host: ConnectionHost, secure: boolean) {
    this.#socket = socket;
    this.#host = host;
    this.secure = secure;
    this.#lastActivityMs = host.clock.now();
    this.#writer = new FrameWriter(socket, host.clock, () => host.misbehaviour);
    const framer = new StreamFramer(
      {
        onMessage: (version, payloadType, payload) => this.#onMessage(version, payloadType, payload),
        onRefused: (nack, closes) => {
          this.#send(genericNack(nack));
          if (closes) this.end();
        },
      },
      { maxPayloadBytes: host.maxDataBytes },
    );
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => {
      if (host.misbehaviour.generalInactivityMs !== undefined) this.#lastActivityMs = host.clock.now();
      this.#writer.batch(() => framer.push(chunk));
    });
    this.rulesChanged();
  }

  /** Takes the endpoint's rules of inactivity, alive check and half-open sockets as they are now. */
  rulesChanged(): void {
    const { initialInactivityMs, generalInactivityMs, aliveCheckIntervalMs, halfOpen } = this.#host.misbehaviour;
    this.#clear(this.#watches);
    if (halfOpen === true) this.#socket.pause();
    else this.#socket.resume();
    if (initialInactivityMs !== undefined) {
      this.#watch(initialInactivityMs, () => {
        if (this.sourceAddress === undefined) this.end();
      });
    }
    if (generalInactivityMs !== undefined) this.#watchInactivity(generalInactivityMs, generalInactivityMs);
    if (aliveCheckIntervalMs !== undefined) this.#checkRegularly(aliveCheckIntervalMs);
  }

  /** Sends a diagnostic message that nobody asked for; nothing before activation. */
  emit(ecuAddress: number, uds: Uint8Array): void {
    if (this.sourceAddress === undefined) return;
    this.#writer.write(encodeDiagnosticMessage(VERSION, ecuAddress, this.sourceAddress, uds));
  }

  /** Sends bytes as they are, DoIP or not. */
  sendRaw(bytes: Uint8Array): void {
    this.#writer.write(bytes);
  }

  /** Asks the tester whether it lives; false after the alive check time or when the connection is gone. */
  isAlive(): Promise<boolean> {
    if (this.#socket.destroyed) return Promise.resolve(false);
    if (this.#aliveCheck === undefined) {
      let answered: (alive: boolean) => void = () => {};
      const result = new Promise<boolean>((resolve) => {
        answered = (alive) => {
          this.#aliveCheck = undefined;
          resolve(alive);
        };
      });
      this.#aliveCheck = { result, answered };
      this.#after(this.#host.misbehaviour.aliveCheckTimeoutMs ?? TIMERS.aliveCheckMs, () => answered(false));
      this.#send({ kind: "aliveCheckRequest" });
    }
    return this.#aliveCheck.result;
  }

  /** Closes after what was written. */
  end(): void {
    this.#writer.end();
  }

  /** Closes at once. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** The socket is closed: timers stop, ECUs that worked for this connection are free. */
  closed(): void {
    this.#clear(this.#timers);
    this.#clear(this.#watches);
    this.#writer.close();
    this.#aliveCheck?.answered(false);
    for (const [ecu, plan] of this.#working) if (ecu.work === plan) ecu.work = undefined;
    this.#working.clear();
  }

  #onMessage(version: number, payloadType: number, payload: Uint8Array): void {
    if (PAYLOAD_BY_TYPE.get(payloadType)?.via === "udp") {
      this.#send(genericNack("unknownPayloadType"));
      return;
    }
    const message = decodePayload(version, payloadType, payload);
    switch (message?.kind) {
      case "diagnosticMessage":
        this.#diagnose(message);
        break;
      case "routingActivationRequest":
        this.#activate(message);
        break;
      case "aliveCheckRequest":
        this.#send({ kind: "aliveCheckResponse", sourceAddress: this.#host.logicalAddress });
        break;
      case "aliveCheckResponse":
        this.#host.events.emit({
          kind: "aliveCheckResponse",
          entity: this.#host.name,
          sourceAddress: message.sourceAddress,
        });
        this.#aliveCheck?.answered(true);
        break;
    }
  }

  #activate(request: ActivationRequest): void {
    const { misbehaviour } = this.#host;
    const forced = uses(misbehaviour.activation) ? misbehaviour.activation : undefined;
    if (forced?.silent === true) return;
    const go = () => {
      if (forced?.code === undefined) void this.#decide(request);
      else this.#answerActivation(request, forced.code);
    };
    if (forced?.delayMs === undefined) go();
    else this.#after(forced.delayMs, go);
  }

  async #decide(request: ActivationRequest): Promise<void> {
    const decide = () => {
      const others = [...this.#host.connections].filter((connection) => connection !== this);
      return decideActivation<Connection>(request, this, others, this.#host.misbehaviour);
    };
    const first = decide();
    if (first.kind === "answer") {
      this.#answerActivation(request, first.code);
      return;
    }
    for (const socket of first.sockets) {
      if (!(await socket.isAlive())) socket.release();
    }
    const second = decide();
    this.#answerActivation(request, second.kind === "answer" ? second.code : second.codeIfAlive);
  }

  /** Gives the place in the socket table back and closes. */
  release(): void {
    this.sourceAddress = undefined;
    this.destroy();
  }

  #answerActivation({ sourceAddress }: ActivationRequest, code: number): void {
    const host = this.#host;
    const { success, closes } = activationCode(code);
    if (success === true) this.sourceAddress = sourceAddress;
    this.#send({
      kind: "routingActivationResponse",
      testerAddress: sourceAddress,
      entityAddress: host.logicalAddress,
      code,
    });
    host.events.emit({ kind: "activated", entity: host.name, sourceAddress, code });
    if (closes === true && host.misbehaviour.closeOnDenial === true) this.end();
  }

  #diagnose({ sourceAddress, targetAddress, uds }: DiagnosticMessage): void {
    const host = this.#host;
    if (uses(host.misbehaviour.genericNack)) {
      this.#send({ kind: "genericNack", code: host.misbehaviour.genericNack.code });
      return;
    }
    if (this.sourceAddress === undefined || sourceAddress !== this.sourceAddress) {
      this.#nack(targetAddress, sourceAddress, DIAGNOSTIC_NACKS.invalidSourceAddress);
      if (host.misbehaviour.closeOnDenial === true) this.end();
      return;
    }
    const group = host.functionalGroup(targetAddress);
    if (group !== undefined) {
      this.#acknowledge(targetAddress, DIAGNOSTIC_ACK_CODE, NOTHING);
      for (const ecu of group) this.#ask(ecu, uds, true);
      return;
    }
    const ecu = host.ecu(targetAddress);
    if (ecu === undefined) this.#nack(targetAddress, sourceAddress, DIAGNOSTIC_NACKS.unknownTargetAddress);
    else this.#ask(ecu, uds, false);
  }

  #ask(ecu: Ecu, uds: Uint8Array, functional: boolean): void {
    if (ecu.work === undefined && ecu.misbehaviour !== undefined) {
      // The view into the chunk does not outlive this turn, the plan does.
      this.#start(ecu, ecu.plan(new Uint8Array(uds)), functional);
      return;
    }
    if (!functional) this.#acknowledge(ecu.logicalAddress, DIAGNOSTIC_ACK_CODE, NOTHING);
    const response = ecu.work === undefined ? ecu.receive(uds) : ecu.receiveWhileBusy(uds);
    if (response !== undefined) this.#respond(ecu, response);
    this.#host.responded(ecu);
  }

  #start(ecu: Ecu, plan: Plan, functional: boolean): void {
    ecu.work = plan;
    this.#working.set(ecu, plan);
    this.#run(ecu, plan, functional, 0, 0);
  }

  /** Sends the steps from `index` that are due at `nowMs` of the plan, then waits for the next one. */
  #run(ecu: Ecu, plan: Plan, functional: boolean, index: number, nowMs: number): void {
    if (ecu.work !== plan) return;
    let end = index;
    while (end < plan.steps.length && plan.steps[end]!.afterMs <= nowMs) end++;
    const next = plan.steps[end];
    if (next === undefined) {
      // Free before the last frame leaves: a tester that answers at once must not find the ECU busy.
      ecu.work = undefined;
      this.#working.delete(ecu);
    }
    this.#writer.batch(() => {
      for (let i = index; i < end; i++) this.#emit(ecu, plan.steps[i]!.emission, functional);
    });
    ecu.touch();
    if (next === undefined) this.#host.responded(ecu);
    else this.#after(next.afterMs - nowMs, () => this.#run(ecu, plan, functional, end, next.afterMs));
  }

  #emit(ecu: Ecu, emission: Emission, functional: boolean): void {
    if (emission.kind === "uds") this.#respond(ecu, emission.bytes, emission.held);
    // A functional request has had its one acknowledgement.
    else if (functional) return;
    else if (emission.kind === "refuse") this.#nack(ecu.logicalAddress, this.sourceAddress ?? 0, emission.code);
    else this.#acknowledge(ecu.logicalAddress, emission.code, emission.echo);
  }

  #respond(ecu: Ecu, uds: Uint8Array, held = false): void {
    const frame = encodeDiagnosticMessage(VERSION, ecu.logicalAddress, this.sourceAddress ?? 0, uds);
    const late = this.#held;
    if (held && late === undefined) {
      this.#held = frame;
      return;
    }
    this.#writer.write(frame);
    if (late === undefined) return;
    this.#writer.write(late);
    this.#held = undefined;
  }

  #acknowledge(sourceAddress: number, code: number, echo: Uint8Array): void {
    this.#send({ kind: "diagnosticAck", sourceAddress, targetAddress: this.sourceAddress ?? 0, code, echo });
  }

  #nack(sourceAddress: number, targetAddress: number, code: number): void {
    this.#send({ kind: "diagnosticNack", sourceAddress, targetAddress, code, echo: NOTHING });
  }

  #send(message: Message): void {
    this.#writer.write(encode(VERSION, message));
  }

  #watchInactivity(limitMs: number, delayMs: number): void {
    this.#watch(delayMs, () => {
      const restMs = this.#lastActivityMs + limitMs - this.#host.clock.now();
      if (restMs > 0) this.#watchInactivity(limitMs, Math.ceil(restMs));
      else this.end();
    });
  }

  #checkRegularly(intervalMs: number): void {
    this.#watch(intervalMs, () => {
      void this.isAlive().then((alive) => {
        if (!alive) this.destroy();
        else if (this.#host.misbehaviour.aliveCheckIntervalMs === intervalMs) this.#checkRegularly(intervalMs);
      });
    });
  }

  #watch(delayMs: number, work: () => void): void {
    this.#schedule(this.#watches, delayMs, work);
  }

  #after(delayMs: number, work: () => void): void {
    this.#schedule(this.#timers, delayMs, work);
  }

  #schedule(timers: Set<TimerHandle>, delayMs: number, work: () => void): void {
    const timer = this.#host.clock.setTimeout(() => {
      timers.delete(timer);
      work();
    }, delayMs);
    timers.add(timer);
  }

  #clear(timers: Set<TimerHandle>): void {
    for (const timer of timers) this.#host.clock.clearTimeout(timer);
    timers.clear();
  }
}
