import type { DTC } from "#mdd/generated/dataformat.ts";
import { type Database, each, memoised, reading } from "./database.ts";

/** A trouble code of the database. */
export interface DtcEntry {
  /** 24 bit. */
  readonly code: number;
  readonly displayCode: string | undefined;
  /** Short name, or `DTC_` and the code when it has none. */
  readonly faultName: string;
  readonly text: string | undefined;
  readonly severity: number | undefined;
  readonly isTemporary: boolean;
}

/** Every trouble code of the database by code; of several with one code the first. */
export function dtcsOf(database: Database): ReadonlyMap<number, DtcEntry> {
  return memoised(database, "dtcs", () =>
    reading("EcuData.dtcs", () => {
      const dtcs = new Map<number, DtcEntry>();
      for (const dtc of each(database.root.dtcsLength(), (i) => database.root.dtcs(i))) {
        const entry = readDtc(dtc);
        if (!dtcs.has(entry.code)) dtcs.set(entry.code, entry);
      }
      return dtcs;
    }),
  );
}

function readDtc(dtc: DTC): DtcEntry {
  const code = dtc.troubleCode();
  return {
    code,
    displayCode: dtc.displayTroubleCode() ?? undefined,
    faultName: dtc.shortName() ?? `DTC_${formatDtc(code)}`,
    text: dtc.text()?.value() ?? undefined,
    severity: dtc.level() ?? undefined,
    isTemporary: dtc.isTemporary(),
  };
}

/** Letters of the two top bits of a trouble code (SAE J2012). */
const SAE_LETTERS = "PCBU";

/** A trouble code as the API writes it: six upper-case hex digits. */
export function formatDtc(code: number): string {
  return code.toString(16).toUpperCase().padStart(6, "0");
}

/** A trouble code in the SAE form of seven characters, `P0100FF`: letter, digit 0 to 3, five hex digits. */
export function formatSaeDtc(code: number): string {
  const letter = SAE_LETTERS[(code >>> 22) & 0b11];
  const rest = (code & 0xfffff).toString(16).toUpperCase().padStart(5, "0");
  return `${letter}${(code >>> 20) & 0b11}${rest}`;
}

/** The trouble code that a text names: six hex digits, the same after `0x`, or the SAE form, in any case. Undefined: none of these. */
export function parseDtc(text: string): number | undefined {
  const hex = /^(?:0x)?([0-9a-f]{6})$/i.exec(text)?.[1];
  if (hex !== undefined) return Number.parseInt(hex, 16);
  const sae = /^([PCBU])([0-3])([0-9a-f]{5})$/i.exec(text);
  if (sae === null) return undefined;
  const [, letter, digit, rest] = sae as unknown as [string, string, string, string];
  return (SAE_LETTERS.indexOf(letter.toUpperCase()) << 22) | (Number(digit) << 20) | Number.parseInt(rest, 16);
}
