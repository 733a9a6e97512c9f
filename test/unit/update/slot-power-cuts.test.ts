/**
 * Slots on a disk that loses, at a power cut, all that was not synced. Each change of the file system is a moment for it. A start finds a
 * whole image of old or new software behind the link, and the calls that come again finish their work.
 */
import assert from "node:assert/strict";
import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { UpdateJob } from "#update/software/provider.ts";
import { runCommand } from "#update/software/providers/command-runner.ts";
import { SlotProvider } from "#update/software/providers/slot.ts";
import { cleanup, scratchFolder } from "../../fixtures/cleanup.ts";
import { jobOf } from "./job-support.ts";

const REAL = { ...fs };
const OLD = Buffer.alloc(5_000, "old");
const NEW = Buffer.alloc(70_000, "new");

/** What is synced is known without the disk's own syncs, which take their time. */
const opened = async (path: string, flags: string) => {
  const handle = await REAL.open(path, flags);
  handle.sync = async () => undefined;
  return handle;
};

function use(calls: object): void {
  Object.assign(fs, REAL, { open: opened }, calls);
  syncBuiltinESMExports();
}
use({});

/** Counts changes; after so many nothing happens any more. */
class Disk {
  changes = 0;
  readonly #limit: number;
  /** Of a folder's names, or of a file's bytes, not yet on the disk. Newest last. */
  #unsynced: { readonly path: string; undo(): Promise<unknown> }[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  readonly calls = {
    mkdir: async (path: string, options: object) => {
      this.#change();
      const made = (await REAL.mkdir(path, { ...options, recursive: true })) as string | undefined;
      if (made !== undefined) this.#note(dirname(made), () => REAL.rm(made, { recursive: true, force: true }));
      return made;
    },
    rename: async (from: string, to: string) => {
      this.#change();
      const [before, moved] = [await snapshot(to), await snapshot(from)];
      await REAL.rename(from, to);
      this.#note(dirname(to), async () => {
        await restore(to, before);
        await restore(from, moved);
      });
    },
    rm: async (path: string, options: object) => {
      this.#change();
      const before = await snapshot(path);
      await REAL.rm(path, options);
      if (before !== undefined) this.#note(dirname(path), () => restore(path, before));
    },
    symlink: async (target: string, path: string) => {
      this.#change();
      await REAL.symlink(target, path);
      this.#note(dirname(path), () => REAL.rm(path, { force: true }));
    },
    open: async (path: string, flags: string) => {
      if (flags === "w") {
        this.#change();
        this.#note(path, () => REAL.truncate(path, 0).catch(() => undefined));
      }
      const handle = await REAL.open(path, flags);
      const write = handle.writeFile.bind(handle);
      handle.writeFile = async (data: Uint8Array) => {
        this.#change();
        await write(data);
      };
      handle.sync = async () => {
        this.#change();
        this.#unsynced = this.#unsynced.filter((each) => each.path !== path);
      };
      return handle;
    },
  };

  async restart(): Promise<void> {
    use({});
    for (const { undo } of this.#unsynced.reverse()) await undo();
  }

  #change(): void {
    if (++this.changes > this.#limit) throw new Error("power cut");
  }

  #note(path: string, undo: () => Promise<unknown>): void {
    this.#unsynced.push({ path, undo });
  }
}

type Snapshot = { readonly link: string } | { readonly bytes: Buffer } | undefined;

async function snapshot(path: string): Promise<Snapshot> {
  const link = await REAL.readlink(path).catch(() => undefined);
  if (link !== undefined) return { link };
  const bytes = await REAL.readFile(path).catch(() => undefined);
  return bytes === undefined ? undefined : { bytes };
}

async function restore(path: string, before: Snapshot): Promise<void> {
  await REAL.rm(path, { force: true });
  if (before === undefined) return;
  await ("link" in before ? REAL.symlink(before.link, path) : REAL.writeFile(path, before.bytes));
}

const appJob = (campaign: string, image: Buffer, notes = new Map<string, string>()): UpdateJob =>
  jobOf(image, { component: "app", campaign, toVersion: campaign }, notes);

async function place({ old = true, trialStarts = 1 } = {}) {
  const root = scratchFolder("slots");
  const folder = join(root, "deep", "slots");
  const none = { activate: [], health: [], timeoutMs: 1_000, hardwareId: undefined, serial: undefined };
  const start = () => new SlotProvider({ app: { ...none, folder, trialStarts } }, runCommand);
  const image = () => REAL.readFile(join(folder, "current", "image")).catch(() => undefined);
  if (old) for (const step of ["prepare", "execute", "commit"] as const) await start()[step](appJob("1", OLD));
  return { folder, start, image };
}

const WAYS = {
  "all new": ["prepare", "execute", "verify", "commit"],
  "rolled back from the trial": ["prepare", "execute", "rollback"],
  "rolled back after the commit": ["prepare", "execute", "verify", "commit", "rollback"],
} as const;
for (const [what, steps] of Object.entries(WAYS)) {
  for (const old of [true, false]) {
    test(`${what}, ${old ? "over an old image" : "the first image"}: a power cut at each change of the disk`, async () => {
      let cuts = 0;
      for (let done = false; !done; cuts++) {
        const { start, image } = await place({ old });
        const job = appJob("2", NEW);
        const disk = new Disk(cuts);
        use(disk.calls);
        const before = start();
        let at = 0;
        try {
          for (; at < steps.length; at++) await before[steps[at]!](job);
          done = true;
        } catch (error) {
          assert.match((error as Error).message, /power cut/);
        } finally {
          await disk.restart();
        }
        const after = start();
        await after.boot();
        const runs = await image();
        const whole = runs === undefined ? !old : runs.equals(NEW) || runs.equals(OLD);
        assert.ok(whole, `cut ${cuts}: ${runs?.length}`);
        // the campaign asks again for what it has no answer to
        for (; at < steps.length; at++) await after[steps[at]!](job);
        await after.boot();
        await after.boot();
        assert.deepEqual(await image(), steps.at(-1) === "commit" ? NEW : old ? OLD : undefined, `cut ${cuts}`);
      }
      assert.ok(cuts > 30, `${cuts}`);
    });
  }
}

test("fallen back between the note of the commit and the commit: it is not taken for committed", async () => {
  const { start, image } = await place({ trialStarts: 0 });
  const notes = new Map<string, string>();
  const job = appJob("2", NEW, notes);
  await start().prepare(job);
  await start().execute(job);
  notes.set("committed", "slot-a");
  await start().boot();
  assert.deepEqual(await image(), OLD);
  await assert.rejects(start().commit(job), { kind: "conflict" });
});

test("a link that somebody else moved, a state that cannot be read: named, nothing switched", async () => {
  const { folder, start, image } = await place();
  const job = appJob("2", NEW);
  await start().prepare(job);
  await start().execute(job);
  await REAL.rm(join(folder, "current"));
  await REAL.symlink("slot-a", join(folder, "current"));
  await assert.rejects(start().verify(job), /no longer runs/);
  await REAL.writeFile(join(folder, "slots.json"), "{");
  for (const call of [() => start().boot(), () => start().describe("app"), () => start().prepare(job)])
    await assert.rejects(call, { kind: "corruption", message: /slots\.json/ });
  assert.deepEqual(await image(), OLD);
});

const FULL = { ENOSPC: "noSpaceLeft", EDQUOT: "noSpaceLeft", EROFS: "permissionDenied", EIO: "storageIo" } as const;
for (const [code, kind] of Object.entries(FULL)) {
  test(`a disk that says ${code}: the old software runs, what was begun takes no room, the next try succeeds`, async (t) => {
    const { folder, start, image } = await place();
    cleanup(t, () => use({}));
    use({
      open: async (path: string, flags: string) => {
        const handle = await opened(path, flags);
        if (path.endsWith("image.new") && flags === "w")
          handle.writeFile = async () => {
            throw Object.assign(new Error("it cannot be written"), { code });
          };
        return handle;
      },
    });
    await assert.rejects(start().prepare(appJob("2", NEW)), { kind });
    use({});
    assert.deepEqual(await REAL.readdir(join(folder, "slot-b")), []);
    assert.deepEqual(await image(), OLD);
    for (const step of ["prepare", "execute", "commit"] as const) await start()[step](appJob("2", NEW));
    assert.deepEqual(await image(), NEW);
  });
}
