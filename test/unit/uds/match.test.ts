import assert from "node:assert/strict";
import { test } from "node:test";
import { answersService, isNegative, type Match, matchResponse } from "#uds/match.ts";
import { NRCS, nrcRetry, nrcText } from "#uds/nrc.ts";
import { SERVICE_BY_SID, SERVICES, suppressesPositiveResponse } from "#uds/services.ts";
import fc from "../../fixtures/properties.ts";
import { hex } from "./support.ts";

const RECORDED = "recorded from the CDA test simulator, facts/sim-vectors.tsv";
const RULE = "facts/transport.md 2.3";

const CASES: readonly { request: string; response: string; match: Match; why: string }[] = [
  { request: "22F190", response: "62F1905343454454", match: "positive", why: `${RECORDED}: read_F190` },
  { request: "22F183", response: "7F2231", match: "negative", why: `${RECORDED}: read_F183` },
  { request: "22F190", response: "62F191AA", match: "foreign", why: "other data identifier" },
  { request: "22F190F191", response: "62F190AA", match: "positive", why: "several identifiers: the first is echoed" },
  { request: "2EF19001", response: "6EF190", match: "positive", why: RULE },
  { request: "2EF19001", response: "6EF1", match: "foreign", why: "shorter than the echo" },
  { request: "2F123403", response: "6F123403", match: "positive", why: RULE },
  { request: "2F123403", response: "6F123503", match: "foreign", why: "the whole identifier is compared" },
  { request: "14FFFFFF", response: "54", match: "positive", why: RULE },
  { request: "34004400001000000010", response: "740400000FFF", match: "positive", why: RULE },
  { request: "3601AABB", response: "7601", match: "positive", why: RULE },
  { request: "3602AABB", response: "7601", match: "foreign", why: "late answer to the block before" },
  { request: "37", response: "77", match: "positive", why: RULE },
  { request: "3101FF00", response: "7101FF0000", match: "positive", why: RULE },
  { request: "31810301", response: "71810301", match: "positive", why: "bit 7 as sent (the simulator)" },
  { request: "31810301", response: "71010301", match: "positive", why: "bit 7 taken off (other ECUs)" },
  { request: "31010301", response: "71810301", match: "positive", why: "bit 7 is masked on both sides" },
  { request: "31010301", response: "71020301", match: "foreign", why: "other sub-function" },
  { request: "31010301", response: "71010302", match: "foreign", why: "other routine" },
  { request: "1003", response: "5003003201F4", match: "positive", why: RULE },
  { request: "1003", response: "5002003201F4", match: "foreign", why: "other session" },
  { request: "2701", response: "670300", match: "foreign", why: "other level" },
  { request: "3E00", response: "7E00", match: "positive", why: RULE },
  { request: "3E", response: "7E00", match: "positive", why: "only the part that the request has" },
  { request: "23140000100004", response: "63AABBCCDD", match: "positive", why: "memory only, no echo" },
  { request: "BA01", response: "FA", match: "positive", why: "unknown service: its SID is all that is known" },
  { request: "22F190", response: "7F2278", match: "pending", why: RULE },
  { request: "22F190", response: "7F2221", match: "busy", why: RULE },
  { request: "22F190", response: "7F2294", match: "unavailable", why: RULE },
  { request: "22F190", response: "7F3178", match: "foreign", why: "stale pending of another service" },
  { request: "22F190", response: "7F22", match: "foreign", why: "no NRC" },
  { request: "22F190", response: "7F", match: "foreign", why: "no SID" },
  { request: "22F190", response: "", match: "foreign", why: "nothing" },
  { request: "", response: "62F190", match: "foreign", why: "no request" },
];
for (const { request, response, match, why } of CASES) {
  test(`match: ${request} / ${response || "-"} is ${match} (${why})`, () => {
    assert.equal(matchResponse(hex(request), hex(response)), match);
  });
}

test("match: total, and only answers of the service are more than foreign", () => {
  const bytes = fc.uint8Array({ maxLength: 8 });
  fc.assert(
    fc.property(bytes, bytes, (request, response) => {
      const match = matchResponse(request, response);
      if (!answersService(request, response)) assert.equal(match, "foreign");
      if (match === "negative" || match === "pending") assert.ok(isNegative(response));
    }),
  );
});

test("match: an echo of any request to any service is positive", () => {
  fc.assert(
    fc.property(fc.constantFrom(...SERVICE_BY_SID.keys()), fc.uint8Array({ maxLength: 8 }), (sid, rest) => {
      assert.equal(matchResponse(Uint8Array.of(sid, ...rest), Uint8Array.of(sid + 0x40, ...rest)), "positive");
    }),
  );
});

test("services: sub-function bit 7 counts for exactly these (ISO 14229-1, facts/transport.md 2.4)", () => {
  const expected = [0x10, 0x11, 0x19, 0x27, 0x28, 0x29, 0x2c, 0x31, 0x3e, 0x85, 0x86, 0x87];
  const found = [...Array(256).keys()].filter((sid) => suppressesPositiveResponse(Uint8Array.of(sid, 0x80)));
  assert.deepEqual(found, expected);
  assert.equal(suppressesPositiveResponse(hex("22F190")), false);
  assert.equal(suppressesPositiveResponse(hex("3E")), false);
  assert.equal(suppressesPositiveResponse(hex("3E00")), false);
});

test("services: SIDs are unique and none is a response", () => {
  const sids = Object.values(SERVICES).map(({ sid }) => sid);
  assert.equal(new Set(sids).size, sids.length);
  for (const sid of sids) assert.equal(sid & 0x40, 0);
});

test("NRCs: text as the API shows it (facts/sovd-api.md 3.4), rules of the three that are handled", () => {
  const texts: [number, string][] = [
    [0x00, "Positive Response"],
    [0x12, "Sub-function Not Supported"],
    [0x31, "Request Out Of Range"],
    [0x57, "Certificate verification failed - Invalid Certificate (revoked)"],
    [0x5d, "DeAuthentication failed"],
    [0x73, "wrongBlockSequenceCounter"],
    [0x78, "Request Correctly Received-Response Pending"],
    [0x8f, "Brake Switch(es) Not Closed (Brake Pedal not pressed or not applied)"],
    [0xff, "ISO SAE Reserved"],
    [0x8e, ""],
  ];
  for (const [code, text] of texts) assert.equal(nrcText(code), text);
  const handled = [...Array(256).keys()].filter((code) => nrcRetry(code) !== "never");
  assert.deepEqual(handled, [0x21, 0x78, 0x94]);
  const codes = Object.values(NRCS).map(({ code }) => code);
  assert.equal(new Set(codes).size, codes.length);
});
