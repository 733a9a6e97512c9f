/**
 * V8 optimises nothing while the server starts. Hardly anything that runs then runs again, and the pages of the compiler, 4 MiB, would
 * stay resident in a node that has little to do.
 */
import { setFlagsFromString } from "node:v8";

export function beginStartUp(): void {
  setFlagsFromString("--no-opt");
}

/** From the open port on everything is optimised as ever. */
export function endStartUp(): void {
  setFlagsFromString("--opt");
}
