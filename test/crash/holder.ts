/** Opens a store, says so, and keeps it until its input ends: `holder.ts FOLDER`. */
import { openStore } from "#store/environments.ts";

const MIB = 1 << 20;
const [folder = ""] = process.argv.slice(2);
try {
  const store = await openStore({ folder, maxBytes: { databases: 64 * MIB, state: 16 * MIB, bulk: 16 * MIB } });
  process.stdout.write("held\n");
  process.stdin.resume();
  process.stdin.once("end", () => void store.close());
} catch (error) {
  process.stdout.write(`refused ${(error as Error).message}\n`);
}
