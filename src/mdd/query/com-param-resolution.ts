import { type ComParams, type ComParamValue, comParamPart, comParamsOf } from "./com-params.ts";
import type { Database } from "./database.ts";

/** One setting `com_params.<group>.<key>` as configured; absent fields come from what is less specific. */
export interface ComParamSetting {
  /** Short name in the database. */
  readonly name?: string | undefined;
  readonly value?: unknown;
  /** `Config`: the configured value counts and the database is not asked. */
  readonly precedence?: "Config" | "Database" | undefined;
}

/** The section `com_params`, global or of one ECU: group, then key. A bare value is one that no database can have. */
export type ComParamSettings = Readonly<
  Record<string, Readonly<Record<string, ComParamSetting | string | undefined>> | undefined>
>;

/** A row of the table of communication parameters (`uds/com-params.ts`), as far as resolution needs it. */
export interface ComParamRow<K extends string = string> {
  readonly group: string;
  readonly field: string;
  readonly def: { readonly key: string; readonly name: string; readonly kind: K; readonly default: unknown };
}

/** How values are written; `undefined` means that the text is none of that kind. */
export interface ComParamReaders<K extends string = string> {
  /** Text of the database; `factorToSi` when its unit has one. */
  parse(kind: K, text: string, factorToSi?: number): unknown;
  /** Value of the configuration. */
  readConfig(kind: K, value: unknown): unknown;
}

/** Everything besides the database that has a say about the parameters of one ECU. */
export interface ComParamSources<K extends string = string> {
  readonly rows: readonly ComParamRow<K>[];
  readonly readers: ComParamReaders<K>;
  readonly global?: ComParamSettings | undefined;
  readonly ecu?: ComParamSettings | undefined;
}

/** A value with where it comes from. `isResolved`: forced by the configuration or found in the database, so no mere default. */
export interface ResolvedComParam {
  readonly value: unknown;
  readonly isResolved: boolean;
  /** What could not be read, for a warning. */
  readonly rejected?: string;
}

/** By `<group>.<field>` of the row. */
export type ResolvedComParams = ReadonlyMap<string, ResolvedComParam>;

/** Rows whose value is the name of a complex parameter; the rows of the same group are looked up among its parts first. */
const TABLE_KEYS: ReadonlySet<string> = new Set(["logical_response_id_table_name", "unique_resp_id_table_name"]);

/**
 * The communication parameters of one ECU. Each field of its own setting stands over the global one over the built-in one, so the order
 * of all sources is: forced for the ECU, forced for all, database, configured for the ECU, configured for all, built in.
 * @param protocol short name as `chooseProtocol` gives it; undefined: any
 * @throws Fault invalidDatabase when the database's own references are broken
 */
export function resolveComParams<K extends string>(
  database: Database,
  protocol: string | undefined,
  sources: ComParamSources<K>,
): ResolvedComParams {
  return resolveFrom(comParamsOf(database, protocol), sources);
}

/** As `resolveComParams`, on parameters at hand. */
export function resolveFrom<K extends string>(params: ComParams, sources: ComParamSources<K>): ResolvedComParams {
  const tables = new Map(
    sources.rows
      .filter((row) => TABLE_KEYS.has(row.def.key))
      .map((row) => [row.group, String(configuredValue(row, sources).value)] as const),
  );
  const lookup = (group: string, name: string) => {
    const table = tables.get(group);
    return (table === undefined ? undefined : comParamPart(params, table, name)) ?? params.get(name);
  };
  return new Map(sources.rows.map((row) => [`${row.group}.${row.field}`, resolveRow(row, sources, lookup)]));
}

function resolveRow<K extends string>(
  row: ComParamRow<K>,
  sources: ComParamSources<K>,
  lookup: (group: string, name: string) => ComParamValue | undefined,
): ResolvedComParam {
  const configured = configuredValue(row, sources);
  const { name, precedence } = settingOf(row, sources);
  if (precedence === "Config") return { ...configured, isResolved: configured.rejected === undefined };
  const found = name === undefined || name === "" ? undefined : lookup(row.group, name);
  if (found === undefined) return configured;
  if (found.kind === "complex") return { ...configured, rejected: `${name}: complex value` };
  const value = sources.readers.parse(row.def.kind, found.text, found.unit?.factorToSi);
  return value === undefined ? { ...configured, rejected: `${name}: ${found.text}` } : { value, isResolved: true };
}

/** What counts when the database has nothing to say. */
function configuredValue<K extends string>(row: ComParamRow<K>, sources: ComParamSources<K>): ResolvedComParam {
  const builtIn = { value: row.def.default, isResolved: false };
  const raw = settingOf(row, sources).value;
  if (raw === undefined) return builtIn;
  const value = sources.readers.readConfig(row.def.kind, raw);
  return value === undefined
    ? { ...builtIn, rejected: `${row.group}.${row.def.key}: ${JSON.stringify(raw)}` }
    : { value, isResolved: false };
}

function settingOf<K extends string>(row: ComParamRow<K>, { global, ecu }: ComParamSources<K>): ComParamSetting {
  const { key, name } = row.def;
  const [own, common] = [ecu, global].map((settings) => asSetting(settings?.[row.group]?.[key]));
  return {
    name: own?.name ?? common?.name ?? name,
    value: own?.value ?? common?.value,
    precedence: own?.precedence ?? common?.precedence,
  };
}

function asSetting(setting: ComParamSetting | string | undefined): ComParamSetting | undefined {
  return typeof setting === "string" ? { value: setting } : setting;
}
