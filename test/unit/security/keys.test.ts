/** Keys of PEM files: what is none is named, with who names it. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { readKey, readTrustedKeys } from "#security/keys.ts";
import { scratchFolder } from "../../fixtures/cleanup.ts";

const folder = scratchFolder("keys");
const put = (name: string, content: string | Buffer): string => {
  const file = join(folder, name);
  writeFileSync(file, content);
  return file;
};
const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const own = put("own.pem", privateKey.export({ type: "pkcs8", format: "pem" }));
const pub = put("own.pub", publicKey.export({ type: "spki", format: "pem" }));
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const other = put("rsa.pem", rsa.privateKey.export({ type: "pkcs8", format: "pem" }));
const text = put("text.pem", "no key");

test("each half of a key is read, the public one also from the private one", () => {
  assert.ok(readKey(own, "private", "--key").equals(privateKey));
  for (const file of [pub, own]) assert.ok(readKey(file, "public", "--key").equals(publicKey));
  assert.equal(readTrustedKeys([pub, own]).length, 2);
});

const REFUSED: readonly [file: string, half: "public" | "private", says: string][] = [
  [text, "public", `--key: ${text} is no Ed25519 public key in PEM`],
  [text, "private", `--key: ${text} is no Ed25519 private key in PEM`],
  [other, "private", `--key: ${other} is no Ed25519 private key in PEM`],
  [pub, "private", `--key: ${pub} is no Ed25519 private key in PEM`],
  [join(folder, "none"), "public", `--key: ${join(folder, "none")}: ENOENT`],
];
test("anything else is refused by name", () => {
  for (const [file, half, says] of REFUSED) {
    const isNamed = (error: unknown) =>
      error instanceof Fault && error.kind === "invalidConfig" && error.message.startsWith(says);
    assert.throws(() => readKey(file, half, "--key"), isNamed, says);
  }
  assert.throws(() => readTrustedKeys([pub, text]), /update\.trusted_keys: .*text\.pem is no/);
});
