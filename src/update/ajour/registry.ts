/** Who a device is, whether it is who it says, and what configuration wants it to have: its own firmware before its application's. */
import { createHash, timingSafeEqual } from "node:crypto";
import { Fault } from "#core/errors.ts";

/** Where firmware comes from. `container` of the configuration is another name for `oci`. */
export type FirmwareSpec =
  | {
      readonly kind: "oci";
      readonly image: string;
      readonly pull: "Always" | "IfNotPresent";
      /** `os/architecture[/variant]` of an index. */
      readonly platform?: string | undefined;
    }
  | {
      readonly kind: "hawkbit";
      readonly controller: string;
      /** The controller's own token; undefined: that of the server's section. */
      readonly authorization?: string | undefined;
    }
  | { readonly kind: "file"; readonly component: string; readonly category: string; readonly name: string };

export interface ApplicationEntry {
  /** Shared by its devices; undefined: each needs its own. */
  readonly password?: string | undefined;
  readonly firmware?: FirmwareSpec | undefined;
}

export interface DeviceEntry {
  readonly application: string;
  /** Component it is. */
  readonly component?: string | undefined;
  readonly password?: string | undefined;
  /** Devices that may speak for this one. */
  readonly gateways: readonly string[];
  readonly firmware?: FirmwareSpec | undefined;
}

export interface RegistryOptions {
  /** `none`: names are believed, e.g. because a broker or a private link vouches for them. */
  readonly authentication: "password" | "none";
  readonly applications: Readonly<Record<string, ApplicationEntry>>;
  readonly devices: Readonly<Record<string, DeviceEntry>>;
  readonly defaultApplication: string;
}

/** A device, by name and application. */
export interface Identity {
  readonly application: string;
  readonly device: string;
}

/** What a request says of its sender, as its transport found it. */
export interface Credentials {
  /** `Basic …`, empty when absent. */
  readonly authorization: string;
  readonly application?: string | undefined;
  readonly device?: string | undefined;
  /** The device a gateway speaks for. */
  readonly as?: string | undefined;
}

const MAX_NAME_LENGTH = 128;

export class Registry {
  readonly #options: RegistryOptions;

  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  /** The device a request comes from. @throws Fault unauthorized, forbidden, badRequest */
  identify(credentials: Credentials): Identity {
    const { user, password } = basic(credentials.authorization);
    const authenticated = this.#options.authentication === "password";
    if (authenticated && user === undefined) throw unauthorized("The device gives no name and password");
    const sender = this.named(user ?? credentials.device ?? "", credentials.application);
    const { application = sender.application, device = sender.device } = credentials;
    if (application !== sender.application || (device !== sender.device && device !== keyOf(sender))) {
      throw new Fault("badRequest", `The request names ${device} of ${application}, its sender is ${keyOf(sender)}`);
    }
    if (authenticated) this.#authenticate(sender, password);
    if (credentials.as === undefined || credentials.as === sender.device) return sender;
    return this.#spokenFor(sender, credentials.as);
  }

  /** A device by `name` or `name@application`. @throws Fault badRequest */
  named(text: string, application = this.#options.defaultApplication): Identity {
    const at = text.lastIndexOf("@");
    const device = at === -1 ? text : text.slice(0, at);
    if (device === "" || text.length > MAX_NAME_LENGTH) throw new Fault("badRequest", "The request names no device");
    return { device, application: at === -1 ? application : text.slice(at + 1) };
  }

  /** Firmware by configuration. */
  firmwareOf({ device, application }: Identity): FirmwareSpec | undefined {
    return this.#entry({ device, application })?.firmware ?? this.#options.applications[application]?.firmware;
  }

  /** The component that a device is, where it is one. */
  componentOf(identity: Identity): { readonly component?: string } {
    const component = this.#entry(identity)?.component;
    return component === undefined ? {} : { component };
  }

  /** All firmware that configuration names. */
  get firmware(): readonly FirmwareSpec[] {
    const { applications, devices } = this.#options;
    const all = [...Object.values(applications), ...Object.values(devices)].map(({ firmware }) => firmware);
    return all.filter((firmware) => firmware !== undefined);
  }

  #authenticate(sender: Identity, password: string | undefined): void {
    const own = this.#entry(sender)?.password;
    const expected = own ?? this.#options.applications[sender.application]?.password;
    if (password === undefined || expected === undefined || !sameText(password, expected)) {
      throw unauthorized("Name or password of the device is wrong");
    }
  }

  #spokenFor(gateway: Identity, name: string): Identity {
    const identity = this.named(name, gateway.application);
    const listed = this.#entry(identity)?.gateways.includes(gateway.device) === true;
    // a gateway is listed by name, and another application may have one of that name
    const allowed = listed && identity.application === gateway.application;
    if (!allowed && this.#options.authentication !== "none")
      throw new Fault("forbidden", `${gateway.device} is no gateway of ${name}`);
    return identity;
  }

  #entry({ device, application }: Identity): DeviceEntry | undefined {
    const entry = Object.hasOwn(this.#options.devices, device) ? this.#options.devices[device] : undefined;
    return entry?.application === application ? entry : undefined;
  }
}

/** One text for a device, for maps and logs. */
export function keyOf({ device, application }: Identity): string {
  return `${device}@${application}`;
}

/** HTTP clients that wait to be asked learn how (RFC 7617). */
function unauthorized(message: string): Fault {
  return new Fault("unauthorized", message, { challenge: 'Basic realm="devices", charset="UTF-8"' });
}

function basic(authorization: string): { user?: string; password?: string } {
  const [, encoded] = /^Basic\s+([A-Za-z0-9+/=]+)$/i.exec(authorization) ?? [];
  if (encoded === undefined) return {};
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  return colon === -1 ? { user: text } : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** In a time that does not tell where the two differ. */
function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
