/** Uploads bulk data through the thread for uploads: `uploads-child.ts FOLDER SEED`. Says `ready` and `ack N`, a line each. */
import { writeSync } from "node:fs";
import { readConfig } from "#config/load.ts";
import { openBulk } from "../../src/bulk.ts";
import { openSound } from "./inspect.ts";
import { UPLOADS, upload } from "./uploads-model.ts";

const [folder = "", seed] = process.argv.slice(2);
const { config } = readConfig({ flags: { tree: { store: { path: folder } }, names: new Map() }, cwd: folder });
const { store } = await openSound(folder);
const { bulk, stop } = openBulk(config, store);
writeSync(1, "ready\n");
for (const index of UPLOADS.keys()) {
  await upload(bulk, Number(seed), index);
  writeSync(1, `ack ${index + 1}\n`);
}
await stop();
await store.close();
