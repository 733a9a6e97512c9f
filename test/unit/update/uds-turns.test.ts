/** Flashes that reach one ECU go one after the other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { systemClock } from "#core/time.ts";
import type { Fleet } from "#fleet/api.ts";
import type { Bulk } from "#update/software/bulk/bulk.ts";
import { UdsFlashProvider } from "#update/software/providers/uds-flash.ts";
import { checkedRecipe } from "#update/software/providers/uds-recipe.ts";
import { FlashTurns, reachOf } from "#update/software/providers/uds-turns.ts";
import fc from "../../fixtures/properties.ts";
import { jobOf } from "./job-support.ts";
import { turn } from "./software-model.ts";

/** Gateways 1 and 2; each has an ECU of group `doip`, and one that is in none. */
const ECUS = [
  { id: "gw1", gatewayAddress: 1, groups: ["fgl_doip"] },
  { id: "bcm", gatewayAddress: 1, groups: [] },
  { id: "gw2", gatewayAddress: 2, groups: ["fgl_doip", "fgl_two"] },
  { id: "tcu", gatewayAddress: 2, groups: [] },
  { id: "hud", gatewayAddress: 3, groups: [] },
];
const fleet = {
  ecus: ECUS,
  ecu: (name: string) => ({ id: name.toLowerCase(), name: name.toUpperCase(), state: "Online" }),
  group: (name: string) => ({ doip: "fgl_doip", fgl_doip: "fgl_doip", fgl_two: "fgl_two" })[name],
} as unknown as Fleet;
const recipe = (...step: object[]) => checkedRecipe({ step }, "test");
const mode = (group: string) => ({ group, mode: "dtcsetting", value: "off" });

for (const [what, component, steps, reach] of [
  ["the ECU alone", "bcm", [{ request: "10 02" }], ["bcm"]],
  ["named ones, in any case", "bcm", [{ request: "28 01 01", ecu: "HUD" }], ["bcm", "hud"]],
  ["whoever is behind the gateways of a group", "hud", [mode("FGL_TWO")], ["gw2", "hud", "tcu"]],
  ["a group by its short name", "bcm", [mode("doip")], ["bcm", "gw1", "gw2", "tcu"]],
  ["a group that there is not", "bcm", [mode("none")], ["bcm"]],
] as const) {
  test(`what a flash reaches: ${what}`, () => {
    assert.deepEqual([...reachOf(fleet, component, recipe(...steps))].sort(), reach);
  });
}

test("whatever comes when, no ECU is reached by two, nobody is overtaken by who shares with it, and all have their turn", async () => {
  const flashes = fc.array(
    fc.record({
      reach: fc.uniqueArray(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 3 }),
      cancelled: fc.boolean(),
    }),
    { maxLength: 8 },
  );
  await fc.assert(
    fc.asyncProperty(flashes, fc.infiniteStream(fc.nat()), async (wanted, pick) => {
      const turns = new FlashTurns();
      const running = new Map<number, () => void>();
      const begun = new Set<number>();
      const gone = new Set<number>();
      const shares = (a: number, b: number) => wanted[a]!.reach.some((ecu) => wanted[b]!.reach.includes(ecu));
      const stops = wanted.map(({ reach }, at) => {
        const stop = new AbortController();
        turns
          .take(new Set(reach.map(String)), stop.signal, () => undefined)
          .then(
            (end) => {
              for (const other of running.keys()) assert.ok(!shares(at, other));
              for (let before = 0; before < at; before++)
                assert.ok(!shares(before, at) || begun.has(before) || gone.has(before));
              begun.add(at);
              running.set(at, end);
            },
            () => assert.ok(gone.has(at)),
          );
        return stop;
      });
      await turn();
      for (const [at, { cancelled }] of wanted.entries()) {
        if (!cancelled || begun.has(at)) continue;
        gone.add(at);
        stops[at]!.abort(new Fault("conflict", "enough"));
      }
      await turn();
      while (running.size > 0) {
        const all = [...running];
        const [at, end] = all[pick.next().value % all.length]!;
        running.delete(at);
        end();
        await turn();
      }
      assert.equal(new Set([...begun, ...gone]).size, wanted.length);
    }),
    { numRuns: 200 },
  );
});

test("two updates that switch off the same ECU: what one needs off the other does not switch on", async () => {
  const log: string[] = [];
  let erased = (): void => undefined;
  const erasing = new Promise<void>((resolve) => {
    erased = resolve;
  });
  const wire = {
    ...fleet,
    async call(ecu: string, call: string, { request = new Uint8Array(0) }: { request?: Uint8Array }) {
      if (call !== "flashService") return {};
      const text = Buffer.from(request).toString("hex");
      log.push(`${ecu} ${text}`);
      if (ecu === "BCM" && text === "3101ff00") await erasing;
      return { body: Uint8Array.of(request[0]! + 0x40) };
    },
  } as unknown as Fleet;
  const steps = [
    { ecu: "gw1", request: "85 02" },
    { request: "31 01 FF 00" },
    { ecu: "gw1", request: "85 01", always: true },
  ];
  const target = { recipe: recipe(...steps), keyOfSeed: undefined, hardwareId: undefined, serial: undefined };
  const targets = { bcm: target, tcu: target, hud: { ...target, recipe: recipe({ request: "31 01 FF 00" }) } };
  const provider = new UdsFlashProvider({ targets, fleet: wire, bulk: {} as Bulk, clock: systemClock });
  const told: string[] = [];
  const flash = (component: string) =>
    provider.execute(
      jobOf(Buffer.from("image"), { component, progress: ({ step }) => void told.push(`${component} ${step}`) }),
    );
  const first = flash("bcm");
  const second = flash("tcu");
  await flash("hud");
  await turn();
  assert.ok(told.includes("tcu waits for the flash of another ECU"));
  assert.deepEqual(
    log.filter((entry) => !entry.startsWith("HUD")),
    ["GW1 8502", "BCM 3101ff00"],
    "who shares nothing does not wait",
  );
  erased();
  await Promise.all([first, second]);
  assert.deepEqual(
    log.filter((entry) => !entry.startsWith("HUD")),
    ["GW1 8502", "BCM 3101ff00", "GW1 8501", "GW1 8502", "TCU 3101ff00", "GW1 8501"],
  );
});
