/** `sovd-edge audit verify`. */
export { registerAudit as register } from "./update.ts";
