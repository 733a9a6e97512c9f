/** Backs up a store: `backup.ts FOLDER TARGET`. */
import { openStore } from "#store/environments.ts";
import { backupStore } from "#store/maintenance.ts";
import { LIMITS } from "./inspect.ts";

const [folder = "", target = ""] = process.argv.slice(2);
const store = await openStore({ folder, maxBytes: LIMITS });
await backupStore(store, target);
await store.close();
