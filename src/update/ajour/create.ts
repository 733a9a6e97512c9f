/** Puts the parts of drogue-ajour together, as the configuration says. */
import type { Config } from "#config/types.ts";
import { Fault } from "#core/errors.ts";
import { isLoopback } from "#core/loopback.ts";
import type { Clock } from "#core/time.ts";
import type { Persistence } from "#store/persistence.ts";
import type { Bulk } from "#update/software/bulk/bulk.ts";
import type { CreateProvider, ProviderContext } from "#update/software/provider.ts";
import { Assignments, NO_JOB } from "./assignments.ts";
import { type CoapOptions, startCoap } from "./coap.ts";
import { Desk, type Report } from "./desk.ts";
import { FileSource } from "./file-source.ts";
import { HawkbitSource } from "./hawkbit.ts";
import { Images } from "./images.ts";
import { startMqtt } from "./mqtt.ts";
import type { Desired } from "./next.ts";
import { OciSource } from "./oci.ts";
import { AjourProvider, type AjourTarget } from "./provider.ts";
import { type FirmwareSpec, type Identity, keyOf, Registry } from "./registry.ts";
import { type FirmwareSource, type Served, Sources } from "./sources.ts";
import type { Transport, TransportParts } from "./transport.ts";

type AjourConfig = Config["update"]["ajour"];
type FirmwareConfig = AjourConfig["devices"][string]["firmware"];

export interface AjourParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly persistence: Persistence;
  readonly bulk: Bulk;
  readonly onProblem: (problem: unknown, where: string) => void;
}

export interface Ajour extends TransportParts {
  readonly provider: CreateProvider;
  /** Opens the transports beside HTTP and looks for firmware. Resolves with the CoAP port, 0 without. @throws Fault */
  start(): Promise<{ readonly coapPort: number }>;
  close(): Promise<void>;
}

const SECOND_MS = 1_000;
/** A device on trial reports at each pause; it has failed when several stay out. */
const MISSED_REPORTS = 6;

/** @throws Fault misconfigured for firmware that names no place, or several */
export function createAjour({ config, clock, persistence, bulk, onProblem }: AjourParts): Ajour {
  const ajour = config.update.ajour;
  const registry = registryOf(ajour);
  const images = new Images(bulk, ajour.cached_mib);
  const assignments = new Assignments(persistence);
  const collect = () => images.keepOnly((sha256) => assignments.images.has(sha256) || sources.images.includes(sha256));
  const sources = new Sources({
    create: sourceOf(ajour, bulk, onProblem),
    images,
    persistence,
    clock,
    retryMs: ajour.retry_secs * SECOND_MS,
    onProblem,
    onChange: collect,
  });
  const byConfiguration = (identity: Identity): Served | undefined => {
    const firmware = registry.firmwareOf(identity);
    return firmware === undefined ? undefined : sources.serve(firmware);
  };
  const desk = new Desk({
    desired: (identity): Desired | "later" | undefined => {
      const assigned = assignments.get(keyOf(identity));
      if (assigned !== undefined) return { ...assigned, busy: assigned.job !== NO_JOB };
      const { image, gate = "open", looking = false } = byConfiguration(identity) ?? {};
      if (image === undefined) return looking ? "later" : undefined;
      return { image, gate };
    },
    images,
    clock,
    limits: {
      defaultBlockBytes: ajour.default_block_bytes,
      minBlockBytes: ajour.min_block_bytes,
      maxBlockBytes: ajour.max_block_bytes,
      pollS: ajour.poll_secs,
      gatePollS: ajour.gate_poll_secs,
    },
    maxDevices: ajour.max_devices,
    maxReportsPerS: ajour.max_reports_per_second,
    onReport: (identity: Identity, report: Report) => {
      const firmware = registry.firmwareOf(identity);
      if (firmware !== undefined && assignments.get(keyOf(identity)) === undefined) sources.note(firmware, report);
    },
  });
  const provider = ({ targets }: ProviderContext) =>
    new AjourProvider({
      desk,
      assignments,
      images,
      clock,
      configured: (device) => byConfiguration(registry.named(device))?.image,
      targets: targetsOf(ajour, targets),
      offlineMs: ajour.offline_secs * SECOND_MS,
      trialSilenceMs: MISSED_REPORTS * ajour.gate_poll_secs * SECOND_MS,
      maxRefusals: ajour.max_refusals,
      collect,
    });
  const transports: Transport[] = [];
  const parts: TransportParts = { desk, registry, onProblem };
  return {
    ...parts,
    provider,
    async start() {
      await sources.start(registry.firmware);
      const coap = ajour.coap === undefined ? undefined : await startCoap(coapOptionsOf(ajour, ajour.coap), parts);
      if (coap !== undefined) transports.push(coap);
      if (ajour.mqtt !== undefined) transports.push(await startMqtt(ajour.mqtt, parts));
      return { coapPort: coap?.port ?? 0 };
    },
    async close() {
      await Promise.all(transports.map((transport) => transport.close()));
      await sources.close();
    },
  };
}

/** RFC 7252, 11.3, and RFC 9175, 2.4. */
const AMPLIFICATION_OF_THE_UNKNOWN = 3;

/** Answers are bounded where anyone gets one, and anyone can name somebody else to get it. */
function coapOptionsOf({ authentication }: AjourConfig, coap: NonNullable<AjourConfig["coap"]>): CoapOptions {
  const forgeable = authentication === "none" && !isLoopback(coap.address);
  const { max_amplification = forgeable ? AMPLIFICATION_OF_THE_UNKNOWN : 0 } = coap;
  return { ...coap, max_amplification };
}

function registryOf({ authentication, default_application, applications, devices }: AjourConfig): Registry {
  return new Registry({
    authentication,
    defaultApplication: default_application,
    applications: mapValues(applications, (entry, name) => ({ ...entry, firmware: specOf(entry.firmware, name) })),
    devices: mapValues(devices, (entry, name) => ({ ...entry, firmware: specOf(entry.firmware, name) })),
  });
}

/** Exactly one place. @throws Fault misconfigured */
function specOf(firmware: FirmwareConfig, owner: string): FirmwareSpec | undefined {
  if (firmware === undefined) return undefined;
  const { hawkbit, file } = firmware;
  const oci = firmware.oci ?? firmware.container;
  const given = [firmware.oci, firmware.container, hawkbit, file].filter((each) => each !== undefined);
  if (given.length !== 1)
    throw new Fault("misconfigured", `The firmware of ${owner} is to come from exactly one place`);
  if (oci !== undefined) return { kind: "oci", ...oci };
  if (hawkbit !== undefined) return { kind: "hawkbit", ...hawkbit };
  return { kind: "file", ...file! };
}

function sourceOf(ajour: AjourConfig, bulk: Bulk, onProblem: AjourParts["onProblem"]) {
  const timeoutMs = ajour.timeout_ms;
  const refreshMs = ajour.refresh_secs * SECOND_MS;
  return (spec: FirmwareSpec): FirmwareSource => {
    if (spec.kind === "file") {
      const { component, category, name } = spec;
      return new FileSource({ bulk, component: component.toLowerCase(), category, name, refreshMs });
    }
    if (spec.kind === "oci") {
      const { default_registry: defaultRegistry, registries } = ajour;
      return new OciSource({ ...spec, defaultRegistry, registries, timeoutMs, refreshMs });
    }
    if (ajour.hawkbit === undefined)
      throw new Fault("misconfigured", "Firmware is to come from hawkBit, but none is named");
    const { controller, authorization = ajour.hawkbit.authorization } = spec;
    return new HawkbitSource({
      ...ajour.hawkbit,
      controller,
      authorization,
      timeoutMs,
      pollMs: refreshMs,
      onProblem: (problem) => onProblem(problem, `hawkbit ${controller}`),
    });
  };
}

/** The device of each component that names this provider. @throws Fault misconfigured */
function targetsOf({ devices }: AjourConfig, targets: ProviderContext["targets"]): Record<string, AjourTarget> {
  return mapValues(targets, ({ hardware_id: hardwareId, serial }, component) => {
    const named = Object.entries(devices).filter(([, device]) => device.component?.toLowerCase() === component);
    const [only, ...more] = named;
    if (only === undefined || more.length > 0) {
      throw new Fault("misconfigured", `Component ${component} is to be exactly one device of [update.ajour.devices]`);
    }
    const [device, { application }] = only;
    return { device: keyOf({ device, application }), hardwareId: textOf(hardwareId), serial: textOf(serial) };
  });
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function mapValues<T, U>(of: Readonly<Record<string, T>>, make: (value: T, key: string) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(of).map(([key, value]) => [key, make(value, key)]));
}
