/** Exit code 2 for what only a command's action can tell. */
import { Fault } from "#core/errors.ts";

/** A command that was written wrongly. */
export function wrongUsage(message: string): Fault {
  return new Fault("badRequest", message, { wrongUsage: true });
}

export function isWrongUsage(error: unknown): boolean {
  return error instanceof Fault && error.details?.wrongUsage === true;
}
