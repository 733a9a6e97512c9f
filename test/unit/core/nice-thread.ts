/** A thread that becomes nice; posts by how much, as far as the system tells. */
import { readlinkSync } from "node:fs";
import { getPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { yieldToOthers } from "#core/thread-priority.ts";

const thread = Number(readlinkSync("/proc/thread-self").split("/").at(-1));
const before = getPriority(thread);
yieldToOthers();
yieldToOthers();
parentPort?.postMessage(getPriority(thread) - before);
