/** `sovd-edge simulate-device`: a small device that fetches its firmware by drogue-ajour, over whatever the server's URL names. */
import { writeFile } from "node:fs/promises";
import { type Command, InvalidArgumentError } from "commander";
import { AjourDevice, type AjourDeviceEvent, createFlash } from "#sim/ajour-device.ts";
import { linkTo } from "#sim/ajour-links.ts";
import { endOnSignals } from "./signals.ts";

interface Flags {
  readonly device: string;
  readonly password: string;
  readonly firmwareVersion: string;
  readonly blockBytes: number;
  readonly backoff: number;
  readonly timeout: number;
  readonly packed?: boolean;
  readonly once?: boolean;
  readonly out?: string;
}

const LONGEST_POLL_MS = 5_000;
const KIB = 1_024;

export function register(program: Command): void {
  program
    .command("simulate-device")
    .description("Run a simulated small device that fetches its firmware by drogue-ajour")
    .argument("<url>", "server or broker: http(s)://…, coap://…, mqtt(s)://…")
    .requiredOption("--device <name>", "`device` or `device@application`")
    .option("--password <text>", "password of the device", "")
    .option("--firmware-version <version>", "version it has at first", "0.0.0")
    .option("--block-bytes <n>", "block size it asks for", number, 512)
    .option("--backoff <ms>", "pause after each block", number, 0)
    .option("--timeout <ms>", "longest wait for an answer", number, 15_000)
    .option("--packed", "reports with numbers as keys")
    .option("--once", "end as soon as new firmware is good")
    .option("--out <file>", "write firmware there once it is good")
    .action(run);
}

async function run(url: string, flags: Flags): Promise<void> {
  const { device: name, password, firmwareVersion, blockBytes, backoff, timeout, packed = false, once = false } = flags;
  const link = await linkTo(url, { device: name, password, timeoutMs: timeout });
  let begunMs = 0;
  let finished = () => {};
  const good = new Promise<void>((resolve) => {
    finished = resolve;
  });
  const onEvent = (event: AjourDeviceEvent): void => {
    if (event.type === "block" && event.offset <= blockBytes) begunMs = performance.now();
    if (event.type !== "block") say(textOf(event));
    if (event.type !== "good") return;
    const { length } = device.flash.active.image;
    const seconds = (performance.now() - begunMs) / 1_000;
    say(`${length} bytes in ${seconds.toFixed(2)} s, ${(length / KIB / seconds).toFixed(0)} KiB/s`);
    finished();
  };
  const device = new AjourDevice(createFlash(firmwareVersion), {
    link,
    blockBytes,
    backoffMs: backoff,
    retryMs: Math.max(backoff, 1_000),
    maxPollMs: LONGEST_POLL_MS,
    correlationId: 1,
    encoding: packed ? "packed" : "named",
    onEvent,
  });
  device.start();
  const ended = endOnSignals(() => device.stop());
  await Promise.race([ended, good]);
  if (flags.out !== undefined) await writeFile(flags.out, device.flash.active.image);
  if (!once) return ended;
  await device.stop();
}

function textOf(event: AjourDeviceEvent): string {
  const { type, ...about } = event;
  return [type, ...Object.values(about).filter((value) => typeof value !== "boolean")].join(" ");
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function number(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("not a whole number");
  return Number(text);
}
