/** `sovd-edge simulate`: the simulated vehicle until a signal or its own shutdown route ends it. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { parseDelay } from "#sim/delay-text.ts";
import { CONTROL_PORT, optionsFromEnvironment, PROFILES, type SimulateOptions, simulate } from "#sim/main.ts";
import type { Delay } from "#sim/misbehaviour.ts";
import { endOnSignals } from "./signals.ts";

const DOIP_PORT = 13_400;

interface Flags {
  readonly config?: string;
  readonly address?: readonly string[];
  readonly port?: number;
  readonly controlPort?: number;
  readonly controlAddress?: string;
  readonly profile?: (typeof PROFILES)[number];
  readonly gateways?: number;
  readonly ecusPerGateway?: number;
  readonly delay?: Delay;
  readonly vin?: string;
  readonly tls?: boolean;
  readonly strictIso?: boolean;
  readonly announce?: boolean;
}

/** What a vehicle description says itself: given beside one they would mean nothing. */
const OF_THE_CONFIGURATION = ["address", "port", "profile", "gateways", "ecusPerGateway", "delay"] as const;

export function register(program: Command): void {
  program
    .command("simulate")
    .description("Run a simulated vehicle: DoIP entities, ECUs and a control API")
    .addOption(new Option("-c, --config <file>", "vehicle description (TOML)").conflicts([...OF_THE_CONFIGURATION]))
    .option("--address <ip,…>", "addresses of the DoIP entities", list)
    .option("--port <port>", `UDP and TCP port [${DOIP_PORT}]`, number)
    .option("--control-port <port>", `HTTP control API, 0 takes a free one [${CONTROL_PORT}]`, number)
    .option("--control-address <ip>", "address of the control API")
    .option("--profile <name>", `one of ${PROFILES.join(", ")}`, profile)
    .option("--gateways <n>", "gateways of profile bench", number)
    .option("--ecus-per-gateway <n>", "ECUs behind each gateway of profile bench", number)
    .option("--delay <ms>", "answer time of profile bench: 5, 2-8, 10~3 (normal), 5:90,50:10 (weighted)", delay)
    .option("--vin <vin>", "vehicle identification number")
    .option("--tls", "demand TLS (activation code 0x07) and listen for it")
    .option("--strict-iso", "timers and socket rules of ISO 13400-2")
    .option("--no-announce", "no vehicle announcements at start")
    .action(async (flags: Flags) => {
      const vehicle = await simulate({ ...optionsFromEnvironment(process.env), ...optionsOf(flags) });
      for (const { address, port } of vehicle.endpoints) process.stdout.write(`DoIP entity on ${address}:${port}\n`);
      if (vehicle.controlPort !== undefined) process.stdout.write(`control API on port ${vehicle.controlPort}\n`);
      await Promise.race([endOnSignals(() => vehicle.close()), vehicle.closed]);
    });
}

function optionsOf({ announce, ...flags }: Flags): SimulateOptions {
  return { ...flags, ...(announce === false ? { announce } : {}) };
}

function list(text: string): string[] {
  return text.split(",").map((part) => part.trim());
}

function number(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("not a whole number");
  return Number(text);
}

function delay(text: string): Delay {
  const parsed = parseDelay(text);
  if (parsed === undefined) throw new InvalidArgumentError("as 5, 2-8, 10~3 or 5:90,50:10");
  return parsed;
}

function profile(text: string): (typeof PROFILES)[number] {
  const found = PROFILES.find((name) => name === text);
  if (found === undefined) throw new InvalidArgumentError(`one of ${PROFILES.join(", ")}`);
  return found;
}
