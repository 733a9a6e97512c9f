/** Who clients are, where they must say so. */

/** Somebody who has proved who it is. */
export interface Caller {
  readonly user: string;
  /** Asked before each change. `action`: as the SOVD interface names it. @throws Fault forbidden */
  mayUpdate(id: string, components: readonly string[], action: string): Promise<void>;
}

/** By a token that holds for the server's own interface. @throws Fault unauthorized, forbidden */
export type Authenticate = (token: string) => Promise<Caller>;
