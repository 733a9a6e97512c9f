/** Every route that sends a service asks the security plugin first; lists show only what it lets pass. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import type { ServiceFacts } from "#fleet/messages.ts";
import type { ServiceTarget } from "#security/plugin.ts";
import type { Authenticator } from "#sovd/context.ts";
import { FakeFleet, facts, reply, tokens, V, vehicle } from "./harness.ts";

const E = `${V}/components/flxc1000`;
const G = `${V}/functions/functionalgroups/all`;
const RAW = { "content-type": "application/octet-stream", accept: "application/octet-stream" };

interface Asked {
  readonly who: string | undefined;
  readonly service: string;
  readonly entity: string;
  readonly target: ServiceTarget;
}

/** A vehicle whose calls run the services that `services` names, and a plugin that refuses those named `Forbidden`. */
function guarded(services: readonly ServiceFacts[]) {
  const asked: Asked[] = [];
  const authenticator: Authenticator = {
    ...tokens,
    validateService: async (claims, service, entity, target) => {
      asked.push({ who: claims?.sub, service: service.name, entity, target });
      if (service.name === "Broken") throw new Fault("internal", "The security plugin failed");
      if (service.name.startsWith("Forbidden")) throw new Fault("forbidden", `Access denied: ${service.name}`);
    },
  };
  const fleet = new FakeFleet();
  fleet.script = ({ call }) => (call === "resolveServices" ? reply({}, { meta: { services } }) : undefined);
  fleet.groupScript = ({ call }) =>
    call === "groupResolveServices"
      ? { outcome: { results: {}, errors: [] }, reply: { meta: { services } } }
      : undefined;
  const car = vehicle({}, { authenticator, fleet, files: { f: 100 } });
  return { car, asked };
}

async function locked(services: readonly ServiceFacts[]) {
  const { car, asked } = guarded(services);
  await car.request("POST", `${E}/locks`, { json: { lock_expiration: 60 } });
  car.fleet.calls.length = 0;
  return { car, asked };
}

async function lockedGroup(services: readonly ServiceFacts[]) {
  const { car, asked } = guarded(services);
  await car.request("POST", `${G}/locks`, { json: { lock_expiration: 60 } });
  car.fleet.calls.length = 0;
  return { car, asked };
}

type Init = { readonly json?: unknown; readonly bytes?: Uint8Array; readonly headers?: Record<string, string> };
const download = { blocksequencecounter: 1, blocksize: 10, offset: 0, length: 10, id: "f" };
const ROUTES: [method: string, path: string, init: Init, call: string][] = [
  ["GET", "/data/vin", {}, "dataRead"],
  ["PUT", "/data/vin", { json: { data: {} } }, "dataWrite"],
  ["GET", "/configurations/c", {}, "dataRead"],
  ["PUT", "/configurations/c", { json: { data: {} } }, "dataWrite"],
  ["PUT", "/genericservice", { bytes: Buffer.from("22f190", "hex"), headers: RAW }, "genericService"],
  ["POST", "/operations/o/executions", { json: { parameters: {} } }, "operationStart"],
  ["POST", "/operations/reset/executions", { json: { parameters: { value: "HardReset" } } }, "reset"],
  ["POST", "/operations/ecureset/executions", { json: { parameters: { value: "HardReset" } } }, "reset"],
  ["PUT", "/status/restart", {}, "reset"],
  ["POST", "/status/reset", { json: { value: "SoftReset" } }, "reset"],
  ["PUT", "/modes/session", { json: { value: "extended" } }, "modeWrite"],
  ["PUT", "/modes/security", { json: { value: "Level_3", Key: { Send_Key: "00" } } }, "modeWrite"],
  ["POST", "/modes/commctrl", { json: { value: "on" } }, "modeWrite"],
  ["PUT", "/modes/dtcsetting", { json: { value: "off" } }, "modeWrite"],
  ["PUT", "/modes/authentication", { json: { value: "x" } }, "modeWrite"],
  ["GET", "/faults", {}, "faultList"],
  ["GET", "/faults/0a1b01", {}, "faultRead"],
  ["DELETE", "/faults", {}, "faultClear"],
  ["DELETE", "/faults/0a1b01", {}, "faultClear"],
  ["PUT", "/x-sovd2uds-download/requestdownload", { json: { requestdownload: {} } }, "requestDownload"],
  ["POST", "/x-sovd2uds-download/flashtransfer", { json: download }, "transferStart"],
  ["PUT", "/x-sovd2uds-download/transferexit", {}, "transferExit"],
];
for (const [method, path, init, call] of ROUTES) {
  test(`${method} ${path} asks for each service of ${call}, and sends it when all are let pass`, async () => {
    const { car, asked } = await locked([facts("One"), facts("Two")]);
    const answer = await car.request(method, E + path, init);
    assert.ok(answer.status < 300, answer.text);
    assert.deepEqual(car.fleet.names, ["resolveServices", call]);
    const [resolve, sent] = car.fleet.calls;
    assert.deepEqual(resolve?.args, { call, args: sent?.args });
    const target = { addressing: "physical", ecus: ["flxc1000"] };
    assert.deepEqual(
      asked,
      ["One", "Two"].map((service) => ({ who: "me", service, entity: "flxc1000", target })),
    );
  });

  test(`${method} ${path} is refused in the plugin's words before anything is sent`, async () => {
    const { car } = await locked([facts("One"), facts("Forbidden")]);
    const answer = await car.request(method, E + path, init);
    assert.deepEqual([answer.status, answer.json.message], [403, "Access denied: Forbidden"]);
    assert.deepEqual(car.fleet.names, ["resolveServices"]);
  });
}

const EXECUTION: [method: string, call: string][] = [
  ["GET", "operationResults"],
  ["DELETE", "operationStop"],
];
for (const [method, call] of EXECUTION) {
  for (const group of [false, true]) {
    test(`${method} of an execution of ${group ? "a group" : "a component"} asks for ${call}`, async () => {
      const services = [facts("Good")];
      const { car, asked } = group ? await lockedGroup(services) : await locked(services);
      const { fleet } = car;
      const operation = { asynchronous: true, hasStop: true, hasResults: true };
      const { script, groupScript } = fleet;
      fleet.script = (made) => script(made) ?? reply({}, { meta: { operation } });
      fleet.groupScript = (made) =>
        groupScript(made) ?? { outcome: { results: {}, errors: [] }, reply: { meta: { operation } } };
      const at = `${group ? G : E}/operations/o/executions`;
      const started = await car.request("POST", at, { json: { parameters: {} } });
      assert.equal(started.status, 202, started.text);
      services[0] = facts("Forbidden");
      fleet.calls.length = 0;
      asked.length = 0;
      const answer = await car.request(method, `${at}/${started.json.id}`);
      assert.equal(answer.status, 403);
      assert.deepEqual(fleet.names, [group ? "groupResolveServices" : "resolveServices"]);
      const wanted = (fleet.calls[0]?.args as { call: string; args: { action?: string } }) ?? {};
      assert.equal(
        group ? wanted.args.action : wanted.call,
        group ? call.slice("operation".length).toLowerCase() : call,
      );
    });
  }
}

const GROUP_ROUTES: [method: string, path: string, init: Init, call: string][] = [
  ["GET", "/data/vin", {}, "groupData"],
  ["PUT", "/data/vin", { json: { data: {} } }, "groupData"],
  ["POST", "/operations/o/executions", { json: { parameters: {} } }, "groupOperation"],
  ["PUT", "/modes/session", { json: { value: "extended" } }, "groupModeWrite"],
  ["POST", "/modes/commctrl", { json: { value: "on" } }, "groupModeWrite"],
  ["PUT", "/modes/dtcsetting", { json: { value: "off" } }, "groupModeWrite"],
];
for (const [method, path, init, call] of GROUP_ROUTES) {
  test(`${method} ${path} of a group asks once, with every member named`, async () => {
    const { car, asked } = await lockedGroup([facts("Good")]);
    const answer = await car.request(method, G + path, init);
    assert.ok(answer.status < 300, answer.text);
    assert.deepEqual(car.fleet.names, ["groupResolveServices", call]);
    const target = { addressing: "functional", ecus: ["flxc1000", "flxcng1000"] };
    assert.deepEqual(asked, [{ who: "me", service: "Good", entity: "all", target }]);
    const refused = await lockedGroup([facts("Forbidden")]);
    assert.equal((await refused.car.request(method, G + path, init)).status, 403);
    assert.deepEqual(refused.car.fleet.names, ["groupResolveServices"]);
  });
}

const LISTS: [path: string, call: string][] = [
  [`${E}/data`, "dataList"],
  [`${E}/configurations`, "configurationList"],
  [`${E}/operations`, "operationList"],
  [`${E}/operations/o`, "operationInfo"],
  [`${G}/data`, "groupDataList"],
  [`${G}/operations`, "groupOperationList"],
];
for (const [path, call] of LISTS) {
  test(`${path} shows only what the plugin lets pass`, async () => {
    const names = ["Good", "ForbiddenOne", "Fine", "ForbiddenTwo"];
    const body = { items: names.map((id) => ({ id, name: id, category: "c" })), schema: { kept: true } };
    const listed = reply(body, { meta: { services: names.map((name) => facts(name)) } });
    const { car } = guarded([]);
    car.fleet.script = (made) => (made.call === call ? listed : undefined);
    car.fleet.groupScript = (made) =>
      made.call === call ? { outcome: { results: {}, errors: [] }, reply: listed } : undefined;
    const { json } = await car.request("GET", path);
    assert.deepEqual(
      json.items.map(({ id }: { id: string }) => id),
      ["Good", "Fine"],
    );
    assert.deepEqual(json.schema, { kept: true });
  });
}

test("a plugin that fails hides nothing: the list fails with it", async () => {
  const { car } = guarded([]);
  car.fleet.script = () => reply({ items: [{ id: "b" }] }, { meta: { services: [facts("Broken")] } });
  assert.equal((await car.request("GET", `${E}/data`)).status, 500);
});

/** As `ServiceCallName` and `GroupServiceCallName`; the tables above name each of them. */
const SENDING = new Set([...ROUTES, ...GROUP_ROUTES].map(([, , , call]) => call));
for (const [, call] of EXECUTION) SENDING.add(call);
const RESOURCES = new URL("../../../src/sovd/", import.meta.url);
for (const file of readdirSync(RESOURCES).filter((name) => name.endsWith(".ts") && name !== "permit.ts")) {
  test(`${file} sends no service without asking`, () => {
    const text = readFileSync(new URL(file, RESOURCES), "utf8");
    const calls = [...text.matchAll(/\.call(?:Group)?\([^"()]*"(\w+)"/g)].map(([, name]) => name!);
    assert.deepEqual(
      calls.filter((name) => SENDING.has(name)),
      [],
    );
  });
}

test("without a plugin nobody is asked", async () => {
  const car = vehicle();
  await car.request("GET", `${E}/data/vin`);
  await car.request("GET", `${G}/data/vin`);
  assert.deepEqual(car.fleet.names, ["dataRead", "groupData"]);
});
