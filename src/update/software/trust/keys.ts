/** Keys of PEM files. */
import type { KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { Fault, reasonOf } from "#core/errors.ts";

/** An Ed25519 key. `read`: `createPublicKey` or `createPrivateKey`. `name`: who names the file. @throws Fault invalidConfig */
export function readKey(file: string, read: (pem: Buffer) => KeyObject, name: string): KeyObject {
  let key: KeyObject;
  try {
    key = read(readFileSync(file));
  } catch (error) {
    throw new Fault("invalidConfig", `${name}: ${file}: ${reasonOf(error)}`, undefined, error);
  }
  if (key.asymmetricKeyType !== "ed25519") throw new Fault("invalidConfig", `${name}: ${file} is not an Ed25519 key`);
  return key;
}
