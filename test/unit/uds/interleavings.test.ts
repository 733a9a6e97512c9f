/** A client on a real channel: whatever order answers, acknowledgements, timeouts, losses and cancellations come in. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import type { Channel, ChannelHost } from "#doip/channel.ts";
import { Channels } from "#doip/channels.ts";
import { type Reservation, UdsClient } from "#uds/client.ts";
import type { Caller } from "#uds/job.ts";
import { answersService } from "#uds/match.ts";
import { linkOver } from "#uds/over-doip.ts";
import type { Transport } from "#uds/transport.ts";
import fc from "../../fixtures/properties.ts";
import { hex, ManualClock, settle, uds } from "./support.ts";

const ECU = 0x1001;
const TESTER = 0x0e00;
const MAX_WAIT_MS = 1_500;
const ACK_TIMEOUT_MS = 60;
const P6_MAX_MS = 300;
const TIMING = { ackTimeoutMs: ACK_TIMEOUT_MS, nackRetries: { 3: 1 }, retryPeriodMs: 40, sendRetries: 2 };
const PARAMS = uds({
  p6MaxMs: P6_MAX_MS,
  p6StarMs: 500,
  repeatReqCountApp: 1,
  rc21RequestTimeMs: 80,
  rc21CompletionTimeoutMs: 700,
  rc78CompletionTimeoutMs: 900,
});

type Kind = "request" | "transmit" | "reservation";

/** One thing that was asked for, and what became of it. */
interface Asked extends Caller {
  readonly kind: Kind;
  readonly identifier: string;
  readonly atMs: number;
  readonly deadlineMs: number;
  readonly timeoutMs: number;
  cancelled: boolean;
  lastFrameMs: number | undefined;
  isAnswered: boolean;
  ends: number;
}

class Vehicle {
  readonly clock = new ManualClock();
  readonly asked: Asked[] = [];
  readonly held: Reservation[] = [];
  readonly client: UdsClient;
  readonly #channels = new Channels();
  #channel: Channel | undefined;
  readonly #host: ChannelHost & { connected: boolean };
  #isFull = false;
  /** What last went over the wire, and whether the gateway refused it. */
  #frame = "";
  #isRefused = false;

  constructor(ackRequired: boolean) {
    this.#host = {
      connected: true,
      clock: this.clock,
      sendTimeoutMs: 50,
      ackRequired,
      transmit: (_address, bytes) => {
        if (this.#isFull) return false;
        this.#frame = toHex(bytes);
        const asked = this.#askedFor(bytes);
        // one that was taken back while it was out may be refused by its gateway, which takes it again then
        assert.ok(asked.ends === 0 || asked.lastFrameMs !== undefined, "nothing leaves for what has ended");
        // a refused one may go again at once
        const sinceMs = this.clock.now() - (asked.lastFrameMs ?? Number.NEGATIVE_INFINITY);
        assert.ok(
          this.#isRefused || sinceMs >= Math.min(asked.timeoutMs, TIMING.retryPeriodMs),
          "nothing is repeated before its window is over",
        );
        asked.lastFrameMs = this.clock.now();
        this.#isRefused = false;
        return true;
      },
      answers: answersService,
      demand: () => {},
      ackTimedOut: () => {},
      release: (channel) => this.#channels.release(channel),
    };
    const transport: Transport = {
      open: (target, handler) => {
        const options = { name: target.name, targetAddress: ECU, functional: false, timing: TIMING };
        const channel = this.#channels.open(this.#host, handler, options);
        this.#channel = channel;
        return linkOver(channel);
      },
      close: async () => {},
    };
    const target = { name: "ECU", addressing: "physical", params: PARAMS } as const;
    this.client = new UdsClient({ transport, target, clock: this.clock, maxQueued: 6, maxWaitMs: MAX_WAIT_MS });
  }

  #askedFor(request: Uint8Array): Asked {
    const identifier = toHex(request.subarray(1));
    return this.asked.find((asked) => asked.identifier === identifier)!;
  }

  ask(kind: Kind, patienceMs = Number.POSITIVE_INFINITY, timeoutMs?: number): Asked {
    const number = this.asked.length;
    const identifier = toHex(Uint8Array.of(number >> 8, number & 0xff));
    const atMs = this.clock.now();
    const asked: Asked = {
      kind,
      identifier,
      atMs,
      deadlineMs: atMs + patienceMs,
      timeoutMs: timeoutMs ?? P6_MAX_MS,
      cancelled: false,
      open: undefined,
      sent: () => {},
      lastFrameMs: undefined,
      isAnswered: false,
      ends: 0,
    };
    this.asked.push(asked);
    const options = {
      caller: asked,
      ...(patienceMs === Number.POSITIVE_INFINITY ? {} : { deadlineMs: asked.deadlineMs }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    };
    const request = hex(`22${identifier}`);
    const outcome: Promise<unknown> =
      kind === "request"
        ? this.client.request(request, options)
        : kind === "transmit"
          ? this.client.transmit(request, options)
          : this.client.reserve(options);
    outcome.then(
      (result) => this.#came(asked, result),
      (error: unknown) => this.#failed(asked, error as Fault),
    );
    return asked;
  }

  #came(asked: Asked, result: unknown): void {
    asked.ends++;
    if (asked.kind === "transmit") assert.ok(asked.lastFrameMs !== undefined);
    else if (asked.kind === "reservation") this.held.push(result as Reservation);
    else {
      const response = toHex(result as Uint8Array);
      assert.ok(asked.lastFrameMs !== undefined && asked.isAnswered, "somebody answered while it was on the wire");
      // A final 0x21 or 0x78 names no identifier.
      assert.ok(
        response === `62${asked.identifier}` || /^7F22(21|78)$/.test(response),
        `${asked.identifier}: ${response}`,
      );
    }
  }

  #failed(asked: Asked, fault: Fault): void {
    asked.ends++;
    assert.ok(fault instanceof Fault, String(fault));
    const now = this.clock.now();
    switch (`${fault.kind} ${fault.message}`) {
      case "requestTimeout Request timed out":
        assert.ok(now >= asked.deadlineMs, "not before its deadline");
        break;
      case "requestTimeout Request cancelled":
        assert.ok(asked.cancelled);
        break;
      case "notResponding Timeout":
        if (fault.details?.waiting === true) assert.ok(now >= asked.atMs + MAX_WAIT_MS, "it waited its time");
        else {
          const windowMs = Math.min(asked.timeoutMs, ACK_TIMEOUT_MS, PARAMS.uds.p6StarMs);
          assert.ok(now - asked.lastFrameMs! >= windowMs, "silence is not concluded before its window is over");
        }
        break;
      default:
        assert.ok(["ecuOffline", "nack", "sendFailed", "overloaded"].includes(fault.kind), fault.message);
    }
  }

  async advance(ms: number): Promise<void> {
    await this.clock.advanceAsync(ms);
  }

  acknowledge(code: number | undefined): void {
    if (this.#channel?.awaitsAck === true) this.#isRefused = code !== undefined;
    const ack = { sourceAddress: ECU, targetAddress: TESTER, echo: hex(this.#frame) };
    this.#channels.acknowledge(
      code === undefined ? { kind: "diagnosticAck", code: 0, ...ack } : { kind: "diagnosticNack", code, ...ack },
    );
  }

  /** An answer to what was asked for, now or long ago. */
  answer({ identifier }: Asked): void {
    this.#note(identifier);
    this.#channels.deliver(ECU, hex(`62${identifier}`));
  }

  /** 0x21 or 0x78 to whatever is on the wire. */
  putOff(nrc: string): void {
    this.#note(this.#frame.slice(2));
    this.#channels.deliver(ECU, hex(`7F22${nrc}`));
  }

  #note(identifier: string): void {
    const asked = this.asked.find((each) => each.identifier === identifier && `22${identifier}` === this.#frame);
    if (asked !== undefined) asked.isAnswered = true;
  }

  cancel(asked: Asked): void {
    asked.cancelled = true;
    asked.open?.cancel(asked);
  }

  turn(connected: boolean): void {
    this.#host.connected = connected;
    this.#channels.onConnectivity(connected);
  }

  room(isThere: boolean): void {
    this.#isFull = !isThere;
    if (isThere) this.#channels.onRoom();
  }

  /** What must be true at every moment at which nothing is about to happen. */
  check(): void {
    const now = this.clock.now();
    for (const { ends, deadlineMs, atMs, lastFrameMs, kind, cancelled } of this.asked) {
      if (ends > 0) continue;
      assert.ok(deadlineMs > now, "nobody waits beyond a deadline");
      assert.ok(!cancelled, "what was taken back has ended");
      if (lastFrameMs === undefined && kind !== "reservation")
        assert.ok(now < atMs + 2 * MAX_WAIT_MS, "nobody waits for ever");
    }
  }

  /** Nothing stands in the way any more: all ends, no timer is left, and the client serves the next one. */
  async settle(): Promise<void> {
    this.turn(true);
    this.room(true);
    // a request that was taken back on its way still takes its time
    for (let round = 0; round < 10; round++) {
      for (const reservation of this.held.splice(0)) reservation.release();
      await this.advance(MAX_WAIT_MS);
    }
    const last = this.ask("request");
    this.acknowledge(undefined);
    this.answer(last);
    await settle();
    assert.deepEqual([last.ends, last.isAnswered, this.client.queued], [1, true, 0]);
    for (const { ends, identifier, open } of this.asked) assert.deepEqual([ends, open], [1, undefined], identifier);
    await this.advance(10_000);
    assert.equal(this.clock.timers, 0);
    const open = [this.ask("request"), this.ask("request")];
    this.client.close();
    await settle();
    assert.deepEqual([open.map(({ ends }) => ends), this.clock.timers], [[1, 1], 0]);
  }
}

const nth = fc.nat({ max: 4 });
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("ask" as const),
      kind: fc.constantFrom<Kind[]>("request", "request", "request", "transmit", "reservation"),
      patienceMs: fc.option(fc.integer({ min: 1, max: 2_000 }), { nil: undefined }),
      timeoutMs: fc.option(fc.constantFrom(20, 1_000), { nil: undefined }),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("answer" as const), nth }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("acknowledge" as const),
      code: fc.constantFrom(undefined, undefined, undefined, 3, 6),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("putOff" as const), nrc: fc.constantFrom("78", "21") }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant("advance" as const), ms: fc.constantFrom(1, 19, 40, 60, 250, 600) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("cancel" as const), nth }) },
  { weight: 2, arbitrary: fc.constant({ do: "release" } as const) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("turn" as const), on: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("room" as const), on: fc.boolean() }) },
);

test("no order of events gives a request another's answer, ends one twice, early or never, or leaves a timer", async () => {
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(step, { maxLength: 80, size: "max" }), async (ackRequired, steps) => {
      const vehicle = new Vehicle(ackRequired);
      const chosen = (index: number) => vehicle.asked.at(-1 - index);
      for (const each of steps) {
        switch (each.do) {
          case "ask":
            vehicle.ask(each.kind, each.patienceMs, each.timeoutMs);
            break;
          case "answer": {
            const asked = chosen(each.nth);
            if (asked !== undefined) vehicle.answer(asked);
            break;
          }
          case "acknowledge":
            vehicle.acknowledge(each.code);
            break;
          case "putOff":
            vehicle.putOff(each.nrc);
            break;
          case "advance":
            await vehicle.advance(each.ms);
            break;
          case "cancel": {
            const asked = chosen(each.nth);
            if (asked !== undefined && asked.ends === 0) vehicle.cancel(asked);
            break;
          }
          case "release":
            vehicle.held.shift()?.release();
            break;
          case "turn":
            vehicle.turn(each.on);
            break;
          case "room":
            vehicle.room(each.on);
        }
        await settle();
        vehicle.check();
      }
      await vehicle.settle();
    }),
    { numRuns: 500 },
  );
});
