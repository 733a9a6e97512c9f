/** A vehicle as TOML. Keys of misbehaviour are those of the control API's JSON. */
import { parse } from "smol-toml";
import { fromHex } from "#core/bytes.ts";
import { Fault, reasonOf } from "#core/errors.ts";
import { type Static, Type } from "#core/schema.ts";
import type { EcuOptions } from "./ecu.ts";
import { EcuMisbehaviourSchema, EntityMisbehaviourSchema } from "./misbehaviour.ts";
import { checked } from "./schema.ts";
import type { EntityOptions, VehicleOptions } from "./vehicle.ts";

const CLOSED = { additionalProperties: false } as const;
const Port = Type.Integer({ minimum: 0, maximum: 65_535 });
const LogicalAddress = Type.Integer({ minimum: 0, maximum: 0xffff });
const Id = Type.String({ pattern: "^[0-9a-fA-F]{12}$" });

const DataConfig = Type.Object(
  {
    /** Data identifier. */
    id: Type.Integer({ minimum: 0, maximum: 0xffff }),
    value: Type.String({ pattern: "^([0-9a-fA-F]{2})+$" }),
    writable: Type.Optional(Type.Boolean()),
  },
  CLOSED,
);

const ECU_KEYS = {
  name: Type.String({ minLength: 1, pattern: "^[^/]+$" }),
  logical_address: LogicalAddress,
  vin: Type.Optional(Type.String()),
  data: Type.Optional(Type.Array(DataConfig)),
  misbehaviour: Type.Optional(EcuMisbehaviourSchema),
};
const EcuConfig = Type.Object(ECU_KEYS, CLOSED);

const EntityConfig = Type.Object(
  {
    ...ECU_KEYS,
    /** IP address; entities with equal address and port share sockets. */
    address: Type.Optional(Type.String({ minLength: 1 })),
    port: Type.Optional(Port),
    functional_address: Type.Optional(LogicalAddress),
    eid: Type.Optional(Id),
    gid: Type.Optional(Id),
    endpoint: Type.Optional(EntityMisbehaviourSchema),
    ecu: Type.Optional(Type.Array(EcuConfig)),
  },
  CLOSED,
);

const TlsConfig = Type.Object(
  {
    port: Type.Optional(Port),
    /** PEM text; without it a certificate is made for the run. */
    cert: Type.Optional(Type.String()),
    key: Type.Optional(Type.String()),
    ciphers: Type.Optional(Type.String()),
  },
  CLOSED,
);

/** The file: `[[entity]]` with `[[entity.ecu]]` behind it, and a few keys of the whole vehicle. */
export const VehicleConfigSchema = Type.Object(
  {
    vin: Type.Optional(Type.String()),
    control_port: Type.Optional(Port),
    control_address: Type.Optional(Type.String()),
    announce: Type.Optional(Type.Boolean()),
    max_data_bytes: Type.Optional(Type.Integer({ minimum: 8, maximum: 0x7fff_ffff })),
    tls: Type.Optional(TlsConfig),
    entity: Type.Array(EntityConfig, { minItems: 1 }),
  },
  CLOSED,
);
type VehicleConfig = Static<typeof VehicleConfigSchema>;

/** The vehicle that a TOML text describes. Throws a `Fault` `invalidConfig` that names the line or the key. */
export function readVehicleConfig(toml: string): VehicleOptions {
  const config = checked(VehicleConfigSchema, parsed(toml), "vehicle config", "invalidConfig");
  refuseRepeats(config);
  return {
    entities: config.entity.map(entityOptions),
    ...defined({
      vin: config.vin,
      controlPort: config.control_port,
      controlAddress: config.control_address,
      announce: config.announce,
      maxDataBytes: config.max_data_bytes,
      tls: config.tls,
    }),
  };
}

function parsed(toml: string): unknown {
  try {
    return parse(toml);
  } catch (error) {
    throw new Fault("invalidConfig", `vehicle config: ${reasonOf(error)}`, undefined, error);
  }
}

function refuseRepeats({ entity }: VehicleConfig): void {
  const names = new Set<string>();
  for (const { name } of entity.flatMap((each) => [each, ...(each.ecu ?? [])])) {
    const key = name.toLowerCase();
    if (names.has(key)) throw new Fault("invalidConfig", `vehicle config: name ${name} stands twice`, { key: "name" });
    names.add(key);
  }
}

function entityOptions(entity: Static<typeof EntityConfig>): EntityOptions {
  return {
    ...ecuOptions(entity),
    address: entity.address ?? "127.0.0.1",
    ...defined({
      port: entity.port,
      functionalAddress: entity.functional_address,
      eid: entity.eid,
      gid: entity.gid,
      endpoint: entity.endpoint,
      ecus: entity.ecu?.map(ecuOptions),
    }),
  };
}

function ecuOptions({ name, logical_address, vin, data, misbehaviour }: Static<typeof EcuConfig>): EcuOptions {
  return {
    name,
    logicalAddress: logical_address,
    ...defined({
      vin,
      misbehaviour,
      data: data && new Map(data.map(({ id, value, writable = false }) => [id, { value: fromHex(value)!, writable }])),
    }),
  };
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Only the keys that have a value: an absent option and an undefined one are not the same. */
function defined<T extends object>(options: T): Defined<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Defined<T>;
}
