/** A self-signed certificate for the simulator's TLS listener: node:crypto signs, the few lines of DER are ours. */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

const TAG = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  sequence: 0x30,
  set: 0x31,
};
const CONTEXT_0 = 0xa0;
const CONTEXT_3 = 0xa3;
const GENERAL_NAME_IP = 0x87;
const OID_ECDSA_SHA256 = "2a8648ce3d040302";
const OID_COMMON_NAME = "550403";
const OID_SUBJECT_ALTERNATIVE_NAME = "551d11";
const DAY_MS = 86_400_000;

/** PEM of a P-256 key and its certificate, valid for a year; `addresses`: IPv4 addresses that it is good for. */
export function selfSignedCertificate(commonName: string, addresses: readonly string[] = ["127.0.0.1"]) {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = der(TAG.sequence, oid(OID_ECDSA_SHA256));
  const name = der(
    TAG.sequence,
    der(TAG.set, der(TAG.sequence, oid(OID_COMMON_NAME), der(TAG.utf8, Buffer.from(commonName)))),
  );
  const now = Date.now();
  const unsigned = der(
    TAG.sequence,
    der(CONTEXT_0, der(TAG.integer, Buffer.of(2))),
    // Positive and not zero.
    der(TAG.integer, Buffer.of(1), randomBytes(8)),
    algorithm,
    name,
    der(TAG.sequence, utcTime(now - DAY_MS), utcTime(now + 365 * DAY_MS)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(CONTEXT_3, der(TAG.sequence, alternativeNames(addresses))),
  );
  const signature = sign("sha256", unsigned, privateKey);
  const certificate = der(TAG.sequence, unsigned, algorithm, der(TAG.bitString, Buffer.of(0), signature));
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${certificate.toString("base64").replace(/.{64}/g, "$&\n").trim()}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
  };
}

function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...head), content]);
}

function oid(hex: string): Buffer {
  return der(TAG.oid, Buffer.from(hex, "hex"));
}

/** `YYMMDDhhmmssZ` */
function utcTime(ms: number): Buffer {
  const text = new Date(ms).toISOString().replace(/[-:T]/g, "").slice(2, 14);
  return der(TAG.utcTime, Buffer.from(`${text}Z`));
}

function alternativeNames(addresses: readonly string[]): Buffer {
  const names = addresses.map((address) => der(GENERAL_NAME_IP, Buffer.from(address.split(".").map(Number))));
  return der(TAG.sequence, oid(OID_SUBJECT_ALTERNATIVE_NAME), der(TAG.octetString, der(TAG.sequence, ...names)));
}
