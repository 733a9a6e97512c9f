/** Families of bodies, negotiation, query strings: what is refused with which status and word. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { Type } from "#core/schema.ts";
import { FAMILIES, jsonDepth, readBody } from "#http/body.ts";
import { acceptedForm } from "#http/negotiate.ts";
import { parseQuery, querySpec } from "#http/query.ts";
import type { BodySpec, JsonFamily, NegotiatedBody } from "#sovd/route.ts";
import fc from "../../fixtures/properties.ts";

const SCHEMA = Type.Object({ value: Type.String() });
const JSON_TYPE = "application/json";
const BYTES = "application/octet-stream";

const raw = (text: string | Uint8Array, contentType = JSON_TYPE, more: { accept?: string; length?: string } = {}) => {
  const bytes = typeof text === "string" ? Buffer.from(text) : text;
  const contentLength = more.length ?? String(bytes.byteLength);
  return { bytes, contentType, contentLength, accept: more.accept ?? "", maxJsonDepth: 8 };
};

function failure(work: () => unknown): [string, string] {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof Fault, String(error));
    return [error.kind, error.message];
  }
  throw new assert.AssertionError({ message: "nothing was refused" });
}

for (const family of Object.keys(FAMILIES) as JsonFamily[]) {
  test(`JSON body, ${family}`, () => {
    const spec: BodySpec = { kind: "json", family, schema: SCHEMA };
    const faults = FAMILIES[family];
    assert.deepEqual(readBody(spec, raw('{"value":"x","more":1}')), { value: "x", more: 1 });
    assert.deepEqual(readBody(spec, raw('{"value":"x"}', "application/JSON; charset=utf-8")), { value: "x" });
    if (faults.type === undefined) assert.deepEqual(readBody(spec, raw('{"value":"x"}', "text/odd")), { value: "x" });
    else {
      const expected = [faults.type, "Expected request with `Content-Type: application/json`"];
      for (const type of ["", "text/plain", BYTES]) {
        assert.deepEqual(
          failure(() => readBody(spec, raw('{"value":"x"}', type))),
          expected,
        );
      }
    }
    for (const bad of ["", "{", "\xff", new Uint8Array([0xff])]) {
      const [kind, message] = failure(() => readBody(spec, raw(bad)));
      assert.equal(kind, faults.syntax);
      assert.match(message, /^Failed to parse the request body as JSON: /);
    }
    for (const bad of ["{}", "[]", "1", '{"value":1}']) {
      const [kind, message] = failure(() => readBody(spec, raw(bad)));
      assert.equal(kind, faults.shape, bad);
      assert.match(message, /^Failed to deserialize the JSON body into the target type: /);
    }
    assert.equal(failure(() => readBody(spec, raw(`${"[".repeat(9)}${"]".repeat(9)}`)))[0], faults.syntax);
  });
}

test("null stands for an optional member that is not there, and for nothing else", () => {
  const schema = Type.Object({
    value: Type.String(),
    expiration: Type.Optional(Type.Integer()),
    key: Type.Optional(Type.Object({ text: Type.Optional(Type.String()) })),
    parameters: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  });
  const read = (text: string) => readBody({ kind: "json", family: "wrapped", schema }, raw(text));
  const CASES: readonly [string, unknown][] = [
    ['{"value":"x","expiration":null,"key":null,"parameters":null}', { value: "x" }],
    ['{"value":"x","key":{"text":null}}', { value: "x", key: {} }],
    ['{"value":"x","parameters":{"a":null}}', { value: "x", parameters: { a: null } }],
  ];
  for (const [text, body] of CASES) assert.deepEqual(read(text), body);
  assert.equal(failure(() => read('{"value":null}'))[0], "badRequest");
  const execution = Type.Object({ timeout: Type.Optional(Type.Integer()), parameters: Type.Optional(Type.Object({})) });
  assert.deepEqual(readBody({ ...SERVICE, schema: execution }, raw('{"timeout":null,"parameters":null}')), {
    service: { type: "none" },
    timeoutS: undefined,
  });
});

test("an optional body may be missing with its type", () => {
  const spec: BodySpec = { kind: "json", family: "plain", schema: SCHEMA, optional: true };
  assert.equal(readBody(spec, raw("ignored", "")), undefined);
  assert.equal(failure(() => readBody(spec, raw("{}", "text/plain")))[0], "unsupportedMediaType");
});

const SERVICE: NegotiatedBody = {
  kind: "service",
  member: "parameters",
  required: false,
  memberRequired: false,
  schema: Type.Object({ timeout: Type.Optional(Type.Integer()), parameters: Type.Optional(Type.Object({})) }),
};
const none = { service: { type: "none" }, timeoutS: undefined };

test("a service's body as JSON, as bytes, and not at all", () => {
  assert.deepEqual(readBody(SERVICE, raw("", "")), none);
  assert.deepEqual(readBody(SERVICE, raw("{}")), none);
  assert.deepEqual(readBody(SERVICE, raw('{"timeout":3,"parameters":{"a":1}}')), {
    service: { type: "json", parameters: { a: 1 } },
    timeoutS: 3,
  });
  const bytes = new Uint8Array([1, 2]);
  assert.deepEqual(readBody(SERVICE, raw(bytes, BYTES)), { service: { type: "raw", bytes }, timeoutS: undefined });
  assert.deepEqual(readBody(SERVICE, raw(new Uint8Array(0), BYTES)), none);
});

const SERVICE_REFUSALS: readonly [string, Partial<NegotiatedBody>, Parameters<typeof raw>, RegExp][] = [
  ["no type", { required: true }, ["", ""], /^Missing Content-Type$/],
  ["broken", {}, ["{"], /^Invalid JSON: /],
  ["empty", {}, [""], /^Invalid JSON: /],
  ["wrong shape", {}, ['{"parameters":1}'], /^Invalid JSON: parameters/],
  ["no member", { memberRequired: true }, ["{}"], /^Invalid JSON: missing field `parameters`$/],
  ["foreign type", {}, ["x", "text/plain"], /^Unsupported mime-type: text\/plain$/],
  ["type that is no text", {}, ["x", "t\u00e4xt/plain"], /^Invalid header value: /],
  ["bytes without length", {}, ["x", BYTES, { length: "" }], /^Missing Content-Length$/],
  ["bytes with odd length", {}, ["x", BYTES, { length: "z" }], /^Invalid Content-Length: z$/],
];
for (const [name, more, given, message] of SERVICE_REFUSALS) {
  test(`a service's body refused: ${name}`, () => {
    const [kind, text] = failure(() => readBody({ ...SERVICE, ...more }, raw(...given)));
    assert.equal(kind, "badRequest");
    assert.match(text, message);
  });
}

test("raw bytes want both headers", () => {
  const spec: BodySpec = { kind: "raw" };
  assert.deepEqual(readBody(spec, raw(new Uint8Array([1]), BYTES, { accept: BYTES })), new Uint8Array([1]));
  assert.match(failure(() => readBody(spec, raw("x", JSON_TYPE, { accept: BYTES })))[1], /mime-type/);
  assert.match(failure(() => readBody(spec, raw("x", BYTES, { accept: "*/*" })))[1], /Accept/);
});

const ACCEPTS: readonly [string, string, "json" | "raw" | RegExp][] = [
  ["", "", "json"],
  ["", BYTES, "raw"],
  ["*/*", `${BYTES}; x=1`, "raw"],
  ["*/*", "text/plain", "json"],
  [JSON_TYPE, BYTES, "json"],
  ["Application/JSON;q=0.9", "", "json"],
  [BYTES, JSON_TYPE, "raw"],
  ["text/html, application/octet-stream", "", "raw"],
  ["text/html,*/*;q=0.1", "", "json"],
  ["text/html", "", /^Unsupported Accept: text\/html$/],
  ["json", "", /^Failed to parse mime type json$/],
  ["t\u00e4xt/html", "", /^Invalid header value: failed to convert header to a str$/],
];
for (const [accept, contentType, expected] of ACCEPTS) {
  test(`Accept "${accept}" with body "${contentType}"`, () => {
    if (typeof expected === "string") assert.equal(acceptedForm(accept, contentType), expected);
    else assert.match(failure(() => acceptedForm(accept, contentType))[1], expected);
  });
}

const QUERY = querySpec(
  Type.Object({
    "include-schema": Type.Optional(Type.Boolean()),
    memorySelection: Type.Optional(Type.Integer({ maximum: 255 })),
    scope: Type.Optional(Type.String()),
    "status[mask]": Type.Optional(Type.String()),
  }),
);

test("query: names in any case, values as sent, unknown ones ignored", () => {
  const text = "Include-SCHEMA=True&MEMORYselection=7&scope=User%20Mem+x&status%5Bmask%5D=FF&other=1&other=2";
  assert.deepEqual(parseQuery(QUERY, text), {
    "include-schema": true,
    memorySelection: 7,
    scope: "User Mem x",
    "status[mask]": "FF",
  });
  assert.deepEqual(parseQuery(QUERY, ""), {});
  assert.deepEqual(parseQuery(undefined, "a=1"), {});
  assert.deepEqual(parseQuery(QUERY, "scope=%zz"), { scope: "%zz" });
});

for (const [text, message] of [
  ["include-schema=1", /include-schema: provided string was not `true` or `false`/],
  ["include-schema", /provided string/],
  ["include-schema=true&include-schema=true", /duplicate field `include-schema`/],
  ["memorySelection=x", /memorySelection: invalid digit/],
  ["memorySelection=256", /memorySelection: /],
] as const) {
  test(`query refused: ${text}`, () => {
    const [kind, said] = failure(() => parseQuery(QUERY, text));
    assert.equal(kind, "badRequest");
    assert.match(said, /^Failed to deserialize query string: /);
    assert.match(said, message);
  });
}

test("depth agrees with the value that JSON.parse makes", () => {
  const depth = (value: unknown): number =>
    typeof value === "object" && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depth)) : 0;
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
      assert.equal(jsonDepth(Buffer.from(JSON.stringify(value))), depth(value));
    }),
  );
});

test("no query and no body makes these parsers throw anything but a fault", () => {
  const total = (work: () => unknown): void => {
    try {
      work();
    } catch (error) {
      assert.ok(error instanceof Fault);
    }
  };
  fc.assert(fc.property(fc.string(), (text) => total(() => parseQuery(QUERY, text))));
  fc.assert(fc.property(fc.string(), fc.string(), (accept, type) => total(() => acceptedForm(accept, type))));
  fc.assert(
    fc.property(fc.uint8Array(), fc.constantFrom("", JSON_TYPE, BYTES, "x"), (bytes, type) =>
      total(() => readBody(SERVICE, raw(bytes, type))),
    ),
  );
});
