/** What answers are made of, and what requests must have. */
import { Fault } from "#core/errors.ts";
import type { Body } from "./envelope.ts";

const MAX_LIST = 1_024;
const MAX_TEXT_LENGTH = 128;

/** Results by id, of which only those are sent that there are. */
export class Outcome {
  readonly #maps: Record<string, Map<string, unknown>> = {};
  readonly #success: string[] = [];

  add(member: "result" | "receipt", id: string, value: unknown): void {
    this.#maps[member] = (this.#maps[member] ?? new Map()).set(id, value);
  }
  error(id: string, problem: string): void {
    this.#maps.error = (this.#maps.error ?? new Map()).set(id, problem);
  }
  success(id: string): void {
    this.#success.push(id);
  }
  body(type: string): Body {
    const maps = Object.entries(this.#maps).map(([member, map]) => [member, Object.fromEntries(map)]);
    return { type, ...Object.fromEntries(maps), ...(this.#success.length === 0 ? {} : { success: this.#success }) };
  }
}

/** A list of texts, each once. @throws Fault badRequest */
export function names(value: unknown, member: string): string[] {
  const sound = Array.isArray(value) && value.length <= MAX_LIST && value.every((each) => typeof each === "string");
  if (!sound) throw new Fault("badRequest", `${member} is no list of texts`);
  return [...new Set(value as string[])];
}

/** @throws Fault badRequest */
export function optionalText(value: unknown, member: string): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "string" && value !== "" && value.length <= MAX_TEXT_LENGTH) return value;
  throw new Fault("badRequest", `${member} is no short text`);
}

export function nak(reason: string): Body {
  return { type: "ACK-NAK", reason };
}
