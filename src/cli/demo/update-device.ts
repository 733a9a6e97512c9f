/** The scene's embedded device: it runs no server, and fetches its firmware from the primary by drogue-ajour over HTTP. */
import type { Tree } from "#config/tree.ts";
import { AjourDevice, createFlash } from "#sim/ajour-device.ts";
import { httpLink } from "#sim/ajour-links.ts";

export const DEVICE_COMPONENT = "battery";
const DEVICE = "bms-1";
const PASSWORD = "of the demo";
/** Bulk data that holds what the device has at first: `<name>.bin` and `<name>.json`. */
const FIRMWARE = { name: "bms", component: "compute_primary", category: "firmware" } as const;
const LINK_TIMEOUT_MS = 2_000;
const PACE = { blockBytes: 32_768, backoffMs: 2, retryMs: 50, maxPollMs: 50 } as const;

/** What the primary's section `update` says of the device. */
export const DEVICE_CONFIG: Tree = {
  targets: { [DEVICE_COMPONENT]: { provider: "ajour" } },
  ajour: {
    enabled: true,
    poll_secs: 1,
    gate_poll_secs: 1,
    retry_secs: 1,
    applications: { default: { password: PASSWORD } },
    devices: { [DEVICE]: { component: DEVICE_COMPONENT, firmware: { file: FIRMWARE } } },
  },
};

/** The first lines of its software, for those who want to see it. */
export function firstFirmware(version: string): Buffer {
  return Buffer.from(`battery software ${version}\n`);
}

/** Files that let the device go back from its first update: name → content. */
export function firmwareFiles(version: string): Readonly<Record<string, Buffer>> {
  const description = JSON.stringify({ version });
  return { [`${FIRMWARE.name}.bin`]: firstFirmware(version), [`${FIRMWARE.name}.json`]: Buffer.from(description) };
}

export const FIRMWARE_PATH = `/components/${FIRMWARE.component}/bulk-data/${FIRMWARE.category}`;

/** Powers the device on. `origin`: scheme, host and port of the primary. */
export function startDevice(origin: string, version: string): AjourDevice {
  const login = { device: DEVICE, password: PASSWORD, timeoutMs: LINK_TIMEOUT_MS };
  const device = new AjourDevice(createFlash(version, firstFirmware(version)), {
    link: httpLink(origin, login),
    correlationId: 1,
    ...PACE,
  });
  device.start();
  return device;
}
