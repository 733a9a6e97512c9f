/** Keys of PEM files. */
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { Fault, reasonOf } from "#core/errors.ts";

const READERS = { public: createPublicKey, private: createPrivateKey } as const;

/** One half of an Ed25519 key. `name`: who names the file, a key of the configuration or a flag. @throws Fault invalidConfig */
export function readKey(file: string, half: keyof typeof READERS, name: string): KeyObject {
  const refused = (problem: string, cause?: unknown) =>
    new Fault("invalidConfig", `${name}: ${file}${problem}`, undefined, cause);
  let pem: Buffer;
  try {
    pem = readFileSync(file);
  } catch (error) {
    throw refused(`: ${reasonOf(error)}`, error);
  }
  const none = ` is no Ed25519 ${half} key in PEM`;
  let key: KeyObject;
  try {
    key = READERS[half](pem);
  } catch (error) {
    throw refused(none, error);
  }
  if (key.asymmetricKeyType !== "ed25519") throw refused(none);
  return key;
}

/** What `[update] trusted_keys` names: public keys. @throws Fault invalidConfig */
export function readTrustedKeys(files: readonly string[]): readonly KeyObject[] {
  return files.map((file) => readKey(file, "public", "update.trusted_keys"));
}
