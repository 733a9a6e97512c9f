import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeResponse, encodeRequest } from "#bench/http-message.ts";
import fc from "../../fixtures/properties.ts";

const bytes = (text: string) => Buffer.from(text, "latin1");

test("a request as a server reads it", () => {
  const request = encodeRequest({ method: "PUT", path: "/a", host: "h:1", token: "t", json: { é: 1 } });
  assert.equal(
    request.toString(),
    'PUT /a HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer t\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{"é":1}',
  );
});

const FRAMES: Readonly<Record<string, readonly [string, unknown]>> = {
  "length given": ["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", { status: 200, end: 40, closes: false }],
  "no content": ["HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", { status: 204, end: 33, closes: false }],
  "end of the connection": [
    "HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    { status: 503, end: 57, closes: true },
  ],
  chunked: [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    { status: 200, end: 59, closes: false },
  ],
  "half a head": ["HTTP/1.1 200 OK\r\nConte", "incomplete"],
  "half a body": ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}", "incomplete"],
  "half a chunk": ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}", "incomplete"],
  "no HTTP": ["SSH-2.0-x\r\n\r\n", "malformed"],
  "no length": ["HTTP/1.1 200 OK\r\n\r\n", "malformed"],
  "a chunk of no size": ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "malformed"],
};
for (const [name, [text, expected]] of Object.entries(FRAMES)) {
  test(`response: ${name}`, () => assert.deepEqual(decodeResponse(bytes(text)), expected));
}

test("a response is found whole only with its last byte; garbage never throws", () => {
  const whole = bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n");
  for (let length = 0; length < whole.length; length++) {
    assert.equal(decodeResponse(whole.subarray(0, length)), "incomplete");
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
      decodeResponse(Buffer.from(garbage));
    }),
  );
});
