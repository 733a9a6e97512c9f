import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { demoEntities } from "#sim/demo/vehicle.ts";
import { startVehicle } from "#sim/vehicle.ts";
import { cleanup } from "../../fixtures/cleanup.ts";
import { settle } from "../doip/support.ts";

test("a TLS handshake that ends after the vehicle began to close does not keep it open", async (t) => {
  const entities = demoEntities("127.0.0.1", 0).slice(0, 1);
  const vehicle = await startVehicle({ entities, announce: false, tls: {} });
  cleanup(t, () => vehicle.close());
  const socket = connect(vehicle.tlsPort!, "127.0.0.1");
  cleanup(t, () => socket.destroy());
  await once(socket, "connect");
  // the server has accepted it by then
  await settle();
  const closed = vehicle.close();
  const secure = connectTls({ socket, rejectUnauthorized: false });
  secure.on("error", () => {});
  await once(secure, "close");
  await closed;
  assert.equal(vehicle.endpoints[0]!.connections.size, 0);
});
