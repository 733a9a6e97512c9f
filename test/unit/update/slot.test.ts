/** Two slots and a link: a bootable image is there at every instant, and a trial that nobody commits ends by itself. */
import assert from "node:assert/strict";
import fsp from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import type { UpdateJob } from "#update/software/provider.ts";
import { runCommand } from "#update/software/providers/command-runner.ts";
import { SlotProvider } from "#update/software/providers/slot.ts";
import { scratchFolder } from "../../fixtures/cleanup.ts";
import { jobOf, sha256 } from "./job-support.ts";

const TRIAL_STARTS = 1;
/** Calls that change what is on the disk. */
const CHANGES = ["open", "rename", "symlink", "rm", "mkdir"] as const;
const real = Object.fromEntries(CHANGES.map((name) => [name, fsp[name]])) as Record<string, (...a: never[]) => unknown>;

/** Power goes right before change number `at` of the file system. Nothing is done from then on. Returns what brings it back. */
function powered(at: number): () => void {
  let count = 0;
  for (const name of CHANGES) {
    (fsp as unknown as Record<string, unknown>)[name] = async (...given: never[]) => {
      if (++count >= at) throw new Error("no power");
      return real[name]!(...given);
    };
  }
  syncBuiltinESMExports();
  return () => {
    Object.assign(fsp, real);
    syncBuiltinESMExports();
  };
}

const appJob = (content: string, campaign: string): UpdateJob =>
  jobOf(Buffer.from(content), { component: "app", campaign, toVersion: campaign });

async function placeOf() {
  const folder = scratchFolder("slot");
  const target = {
    folder,
    activate: [],
    health: [],
    timeoutMs: 1_000,
    trialStarts: TRIAL_STARTS,
    hardwareId: undefined,
    serial: undefined,
  };
  const start = (): SlotProvider => new SlotProvider({ app: target }, runCommand);
  const running = (): Promise<string> => fsp.readFile(join(folder, "current", "image"), "utf8");
  const provider = start();
  const first = appJob("old", "1.0");
  for (const call of ["prepare", "execute", "commit"] as const) await provider[call](first);
  return { start, running, folder };
}

type Call = "prepare" | "execute" | "commit" | "rollback";
/** Calls that went well, and those in which power goes. */
const WAYS: readonly [before: readonly Call[], cut: readonly Call[], end: string][] = [
  [[], ["prepare", "execute", "commit"], "new"],
  [["prepare", "execute"], ["rollback"], "old"],
  [["prepare", "execute", "commit"], ["rollback"], "old"],
];

test("power cut at every change of the file system: what runs is whole, and the call that comes again ends it", async () => {
  let cuts = 0;
  for (const [before, cut, end] of WAYS) {
    for (let at = 1, done = false; !done; at++) {
      const { start, running } = await placeOf();
      const job = appJob("new", "2.0");
      for (const call of before) await start()[call](job);
      const restore = powered(at);
      let ended = 0;
      try {
        for (; ended < cut.length; ended++) await start()[cut[ended]!](job);
        done = true;
      } catch (error) {
        assert.equal((error as Error).message, "no power");
        cuts++;
      } finally {
        restore();
      }
      assert.match(await running(), /^(old|new)$/, `${cut} cut at change ${at}`);
      // a campaign asks again for the call whose end it did not hear of
      for (const call of cut.slice(ended)) await start()[call](job);
      assert.equal(await running(), end, `${cut} cut at change ${at}`);
    }
  }
  assert.ok(cuts > 30, `${cuts}`);
});

test("a crash loop during the trial: after so many starts the old software is back, also when power goes again then", async () => {
  for (let at = 1; at < 12; at++) {
    const { start, running } = await placeOf();
    const job = appJob("new", "2.0");
    await start().prepare(job);
    await start().execute(job);
    for (let i = 0; i < TRIAL_STARTS; i++) await start().boot();
    assert.equal(await running(), "new");
    const restore = powered(at);
    await start()
      .boot()
      .catch(() => undefined);
    restore();
    assert.match(await running(), /^(old|new)$/);
    await start().boot();
    assert.equal(await running(), "old");
    await assert.rejects(start().verify(job), /fell back/);
    await assert.rejects(start().commit(job), /fell back before the verdict/);
  }
});

const FLIPS: readonly [what: string, change: (image: string) => Promise<unknown>][] = [
  ["a flipped bit", (image) => fsp.writeFile(image, "nev")],
  ["a truncated image", (image) => fsp.writeFile(image, "ne")],
  ["a tail", (image) => fsp.writeFile(image, "new ")],
];
for (const [what, change] of FLIPS) {
  test(`nothing that is not what was verified is started: ${what}`, async () => {
    const { start, running, folder } = await placeOf();
    const job = appJob("new", "2.0");
    await start().prepare(job);
    await change(join(folder, "slot-b", "image"));
    await assert.rejects(start().execute(job), /no longer what was verified/);
    assert.equal(await running(), "old");
  });
}

test("what does not become the image it should is not kept", async () => {
  const { start, running } = await placeOf();
  const job = appJob("new", "2.0");
  const wrong = { ...job, artifact: { ...job.artifact!, sha256: sha256("other") } };
  await assert.rejects(start().prepare(wrong), /does not read back/);
  assert.equal(await running(), "old");
});
