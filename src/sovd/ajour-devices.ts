/** What devices of drogue-ajour have, shall have and are at. */
import { firmwareStatus } from "#update/ajour/firmware-status.ts";
import { keyOf } from "#update/ajour/registry.ts";
import type { TransportParts } from "#update/ajour/transport.ts";
import { resourceNotFound } from "./guard.ts";
import { type Route, route } from "./route.ts";
import { IdItem, items, ok } from "./schemas.ts";

const tag = "updates";

export function ajourDeviceRoutes({ desk, registry }: TransportParts): readonly Route[] {
  const devices = () =>
    desk.reports.map(({ identity, report }) => ({
      id: keyOf(identity),
      ...identity,
      ...registry.componentOf(identity),
      last_report: new Date(report.atMs).toISOString(),
      answer: report.answer,
      firmware: firmwareStatus(report),
    }));
  return [
    route({
      method: "get",
      path: "/x-ajour",
      summary: "Devices that fetch their firmware, as they reported last (drogue-ajour)",
      tag,
      early: true,
      responses: { 200: ok(items(IdItem)) },
      handle: () => ({ status: 200, json: { items: devices() } }),
    }),
    route({
      method: "get",
      path: "/x-ajour/{device}",
      summary: "A device that fetches its firmware: what it has, what it shall have, how far it is",
      tag,
      early: true,
      responses: { 200: ok(IdItem) },
      handle: ({ params, path }) => {
        // paths come in lower case; a name alone is enough where it is one device's
        const named = devices().filter(({ id, device }) =>
          [id, device].some((name) => name.toLowerCase() === params.device),
        );
        const [device, ...more] = named;
        if (device === undefined || more.length > 0) throw resourceNotFound({ shownPath: path });
        return { status: 200, json: device };
      },
    }),
  ];
}
