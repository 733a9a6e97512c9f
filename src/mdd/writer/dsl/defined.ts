/** A record that may still hold undefined members. */
export type Loose<T> = { [K in keyof T]: T[K] | undefined };

/** The record without its undefined members: absent fields of a description are left out. */
export function defined<T extends object>(loose: Loose<T>): T {
  return Object.fromEntries(Object.entries(loose).filter(([, value]) => value !== undefined)) as T;
}
