/** Maintenance of a store as a process to be killed: `maintain.ts FOLDER compaction` or `maintain.ts FOLDER restore BACKUP`. */
import { writeSync } from "node:fs";
import { compactStore, restoreStore } from "#store/maintenance.ts";
import { LIMITS } from "./inspect.ts";

const [folder = "", mode, backup = ""] = process.argv.slice(2);
writeSync(1, "begun\n");
if (mode === "restore") await restoreStore(backup, folder, LIMITS);
else await compactStore(folder, LIMITS);
writeSync(1, "ended\n");
