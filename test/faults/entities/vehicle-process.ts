/** CAMERA in a process of its own, which a test may freeze: says its port on the first line, and what it got on the next ones. */
import { toHex } from "#core/bytes.ts";
import { demoEntities } from "#sim/demo/vehicle.ts";
import { startVehicle } from "#sim/vehicle.ts";

const [address = "127.0.1.6"] = process.argv.slice(2);
const camera = demoEntities(address, 0).find(({ name }) => name === "CAMERA")!;
const vehicle = await startVehicle({ entities: [{ ...camera, address, port: 0 }], announce: false });
vehicle.events.subscribe((event) => {
  if (event.kind === "request") console.log(toHex(event.uds));
});
console.log(vehicle.port);
// the parent's end of the pipe is its life
process.stdin.on("end", () => process.exit()).resume();
