/** The matcher: which route a path finds, and that no path makes it fail. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { linkPath, Router, shownPath } from "#http/router.ts";
import { type Method, type Route, route } from "#sovd/route.ts";
import fc from "../../fixtures/properties.ts";

const declare = (method: Method, path: string, mount?: "root"): Route =>
  route({
    method,
    path,
    summary: "",
    tag: "",
    ...(mount === undefined ? {} : { mount }),
    responses: {},
    handle: () => ({ status: 200 }),
  });

const ROUTES = [
  declare("get", "/health", "root"),
  declare("get", "/things"),
  declare("get", "/things/{id}"),
  declare("put", "/things/{id}"),
  declare("get", "/things/{id}/Parts/{part}"),
  declare("post", "/things/special/parts/{part}"),
  declare("get", "/things/special"),
];
const router = new Router(ROUTES, ["/vehicle/v15", "/sovd/v1"], (one) => `${one.method} ${one.path}`);

const FOUND: readonly [string, string, string, Record<string, string>][] = [
  ["get", "/health", "get /health", {}],
  ["get", "/vehicle/v15/things", "get /things", {}],
  ["get", "/VEHICLE/V15/Things///", "get /things", {}],
  ["get", "/sovd/v1/things/ABC", "get /things/{id}", { id: "abc" }],
  ["get", "/vehicle/v15/things/a%2Fb%3Fc%23d", "get /things/{id}", { id: "a/b?c#d" }],
  ["get", "/vehicle/v15/things/%C3%84", "get /things/{id}", { id: "ä" }],
  ["get", "/vehicle/v15/things/%zz", "get /things/{id}", { id: "%zz" }],
  ["get", "/v%65hicle/v15/%74hings", "get /things", {}],
  ["get", "/vehicle/v15/things/special", "get /things/special", {}],
  ["put", "/vehicle/v15/things/special", "put /things/{id}", { id: "special" }],
  ["get", "/vehicle/v15/things/special/parts/p", "get /things/{id}/Parts/{part}", { id: "special", part: "p" }],
  ["post", "/vehicle/v15/things/special/parts/p", "post /things/special/parts/{part}", { part: "p" }],
];
for (const [method, path, value, params] of FOUND) {
  test(`${method} ${path} finds ${value}`, () => {
    for (let again = 0; again < 2; again++) {
      const match = router.match(method, path);
      assert.ok(match !== undefined && "value" in match);
      assert.equal(match.value, value);
      assert.deepEqual(match.params, params);
    }
  });
}

test("a match knows its base", () => {
  for (const [path, base] of [
    ["/sovd/v1/things", "/sovd/v1"],
    ["/VEHICLE/v15/things", "/vehicle/v15"],
    ["/health", ""],
  ] as const) {
    const match = router.match("get", path);
    assert.ok(match !== undefined && "base" in match);
    assert.equal(match.base, base);
  }
});

for (const path of [
  "",
  "/",
  "//",
  "/vehicle",
  "/vehicle/v15",
  "/vehicle/v15/health",
  "/things",
  "/vehicle/v15//things",
  "/vehicle/v15/things//parts/x",
  "/vehicle/v15/things/a/b",
  `/vehicle/v15/${"x/".repeat(100)}`,
]) {
  test(`${path.slice(0, 40)} finds nothing`, () => assert.equal(router.match("get", path), undefined));
}

test("a wrong method names the right ones, those of the parameter's branch too", () => {
  assert.deepEqual(router.match("delete", "/sovd/v1/things/special"), { allow: "GET, HEAD, PUT" });
  assert.deepEqual(router.match("toString", "/sovd/v1/things"), { allow: "GET, HEAD" });
});

test("a path declared twice is a mistake in the table", () => {
  assert.throws(() => new Router([ROUTES[0]!, ROUTES[0]!], [], () => 1), /declared twice: get \/health/);
});

const SHOWN: readonly [string, string, string][] = [
  ["/Vehicle/V15/Nope/", "", "/vehicle/v15/nope"],
  ["/vehicle/v15/no%70e", "X=%59", "/vehicle/v15/nope?x=y"],
  ["/", "", "/"],
  // Decoded text that is no path any more: shown as it came.
  ["/Nope/A%20b/", "X=Y", "/Nope/A%20b?X=Y"],
  ["/Nope", "x=%00", "/Nope?x=%00"],
];
for (const [path, query, expected] of SHOWN) {
  test(`${path}?${query} is shown as ${expected}`, () => assert.equal(shownPath(path, query), expected));
}

const LINKS: readonly [string, string][] = [
  ["/Vehicle/V15/APPS/", "/vehicle/v15/apps"],
  ["/vehicle/v15/a%70ps/A%2FB%20c", "/vehicle/v15/apps/a%2Fb%20c"],
];
for (const [path, expected] of LINKS) {
  test(`links below ${path} begin with ${expected}`, () => assert.equal(linkPath(path), expected));
}

test("no path makes it throw, and any path to a parameter comes back decoded", () => {
  fc.assert(
    fc.property(fc.string(), fc.constantFrom("get", "put", "x"), (text, method) => {
      router.match(method, text);
      router.match(method, `/vehicle/v15/things/${text}`);
      shownPath(text, text);
      linkPath(text);
    }),
  );
  fc.assert(
    fc.property(fc.string({ minLength: 1, unit: "grapheme" }), (id) => {
      const match = router.match("get", `/sovd/v1/things/${encodeURIComponent(id)}`);
      assert.ok(match !== undefined && "params" in match);
      if (id.toLowerCase() !== "special") assert.equal(match.params.id, id.toLowerCase());
    }),
  );
});

test("more different paths than it remembers do it no harm", () => {
  for (let i = 0; i < 10_000; i++) router.match("get", `/sovd/v1/things/${i}`);
  const match = router.match("get", "/sovd/v1/things/9999");
  assert.ok(match !== undefined && "params" in match);
  assert.equal(match.params.id, "9999");
});
