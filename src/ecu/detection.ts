import { Fault } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import {
  type DetectionAnswers,
  type DetectionPlan,
  type DuplicateResult,
  detectionPlan,
  evaluateDuplicates,
  evaluateVariants,
} from "#mdd/query/variants.ts";
import { decodeAnswer, encodeService } from "./codec.ts";
import type { Ecu } from "./ecu.ts";
import { holding } from "./held-database.ts";
import type { Finding } from "./life.ts";

/** A run in the background that ends offline is repeated this often, this far apart. */
const BACKGROUND_REPEATS = 3;
const BACKGROUND_PAUSE_MS = 1_000;

export interface DetectorOptions {
  readonly clock: Clock;
  /** ECUs at one address; more than one: their databases claim the same ECU. */
  readonly members: readonly Ecu[];
  /** Sends one request physically, without the guard that would start a detection. */
  readonly request: (bytes: Uint8Array, service: string) => Promise<Uint8Array>;
  readonly fallbackToBase: boolean;
  readonly onProblem: (ecu: string, problem: unknown) => void;
}

/**
 * Variant detection of one address. One run at a time; triggers during a run make one more. Source: OpenSOVD architecture, variant
 * detection; ISO 22901-1 ECU-VARIANT-PATTERN.
 */
export class Detector {
  readonly #options: DetectorOptions;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #background: Promise<void> | undefined;
  #stopped = false;

  constructor(options: DetectorOptions) {
    this.#options = options;
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  /** Runs now, or once more after the run that is under way. Never rejects. */
  run(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      return this.#start();
    });
    return this.#next;
  }

  /** A run whose outcome is as good as one of its own: joins the one under way. */
  join(): Promise<void> {
    return this.#running ?? this.#start();
  }

  /** Runs in the background, again after a pause while the address stays silent. Further triggers meanwhile change nothing. */
  runInBackground(stillNeeded: () => boolean): Promise<void> {
    this.#background ??= this.#repeat(stillNeeded).finally(() => {
      this.#background = undefined;
    });
    return this.#background;
  }

  async #repeat(stillNeeded: () => boolean): Promise<void> {
    for (let repeat = 0; repeat <= BACKGROUND_REPEATS && !this.#stopped && stillNeeded(); repeat++) {
      await this.join();
      if (this.#options.members.some((ecu) => ecu.life.connectivity === "Online")) return;
      await new Promise<void>((resolve) => this.#options.clock.setTimeout(resolve, BACKGROUND_PAUSE_MS));
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  #start(): Promise<void> {
    const held = this.#options.members.map((ecu) => ecu.held);
    const run = holding(held, () => this.#detect()).catch((error) => {
      for (const ecu of this.#options.members) this.#options.onProblem(ecu.name, error);
    });
    this.#running = run.finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #detect(): Promise<void> {
    const { members } = this.#options;
    if (this.#stopped) return;
    const candidates = members.map((ecu) => ({ ecu, name: ecu.name, plan: detectionPlan(ecu.loaded.database) }));
    for (const { ecu } of candidates) ecu.seedStates();
    const sent = new Map<string, Uint8Array | undefined>();
    const answers = new Map<string, DetectionAnswers>();
    for (const { ecu, plan } of candidates) answers.set(ecu.name, await this.#ask(ecu, plan, sent));
    if (this.#stopped) return;
    const answered = [...sent.values()].some((response) => response !== undefined);
    if (sent.size > 0 && !answered) {
      for (const ecu of members) ecu.event({ kind: "silent" });
      return;
    }
    const results = this.#evaluate(candidates, answers);
    for (const ecu of members) {
      const finding = findingOf(results.get(ecu.name));
      if (finding !== undefined) ecu.event({ kind: "found", finding });
    }
  }

  /** Sends the services of one member; what another member has sent already is not sent again. Stops at the first silence. */
  async #ask(ecu: Ecu, plan: DetectionPlan, sent: Map<string, Uint8Array | undefined>): Promise<DetectionAnswers> {
    const answers = new Map<string, Readonly<Record<string, unknown>> | undefined>();
    for (const service of plan.services) {
      const compiled = ecu.plan(service.table);
      const request = encodeService(compiled, { type: "none" });
      const key = Buffer.from(request.buffer, request.byteOffset, request.byteLength).toString("latin1");
      if (!sent.has(key)) {
        if ([...sent.values()].includes(undefined)) break;
        sent.set(
          key,
          await this.#options.request(request, service.shortName).then(
            // The answer is a view into what the socket received.
            (bytes) => new Uint8Array(bytes),
            noAnswer,
          ),
        );
      }
      const response = sent.get(key);
      if (response === undefined) break;
      answers.set(service.shortName, decodeAnswer(compiled, request, response));
    }
    return answers;
  }

  #evaluate(
    candidates: readonly { ecu: Ecu; name: string; plan: DetectionPlan }[],
    answers: ReadonlyMap<string, DetectionAnswers>,
  ): ReadonlyMap<string, DuplicateResult> {
    const [only] = candidates;
    if (candidates.length > 1 || only === undefined) {
      // Databases of one address ask for the same identifiers; the first one's answers speak for all of them.
      const merged = new Map([...answers.values()].flatMap((own) => [...own]));
      return evaluateDuplicates(candidates, merged);
    }
    const own = answers.get(only.name)!;
    // Without patterns nothing is asked, and the base variant is all there is.
    const asked: DetectionAnswers = only.plan.services.length === 0 ? new Map([["", undefined]]) : own;
    return new Map([[only.name, evaluateVariants(only.plan, asked, this.#options.fallbackToBase)]]);
  }
}

/** A failed request is silence; one that was never sent tells nothing of the ECU. */
function noAnswer(error: unknown): undefined {
  const unsent = error instanceof Fault && (error.kind === "sendRefused" || error.kind === "internal");
  if (unsent) throw error;
}

function findingOf(result: DuplicateResult | undefined): Finding | undefined {
  switch (result?.state) {
    case "Detected":
      return { kind: "Detected", variant: result.variant, isFallback: result.isFallback };
    case "NotDetected":
      return { kind: "NotDetected" };
    case "Duplicate":
      return { kind: "Duplicate" };
    default:
      return undefined;
  }
}
