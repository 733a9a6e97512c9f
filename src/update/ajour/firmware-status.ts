/** What is known of each device's firmware, in the words that Drogue Cloud writes back to its devices: `firmware {current, target, conditions}`. */
import type { Report } from "./desk.ts";
import { offsetOf, sameVersion, versionText } from "./next.ts";

export interface FirmwareCondition {
  readonly type: "InSync" | "UpdateProgress";
  readonly status: "True" | "False";
  /** Of `UpdateProgress`: percent, two digits. */
  readonly message?: string;
}

export interface FirmwareStatus {
  readonly current: string;
  /** Null while nobody wants anything of the device. */
  readonly target: string | null;
  /** None without a target. */
  readonly conditions: readonly FirmwareCondition[];
}

export function firmwareStatus({ status, image }: Pick<Report, "status" | "image">): FirmwareStatus {
  const current = versionText(status.version);
  if (image === undefined) return { current, target: null, conditions: [] };
  const inSync = sameVersion(status.version, image.version);
  const percent = inSync ? 100 : (100 * offsetOf(status, image)) / image.sizeBytes;
  const conditions: FirmwareCondition[] = [
    { type: "InSync", status: inSync ? "True" : "False" },
    { type: "UpdateProgress", status: inSync ? "False" : "True", message: percent.toFixed(2) },
  ];
  return { current, target: versionText(image.version), conditions };
}
