/** All services of the simulated ECUs in one index. */
import { indexServices, type ServiceIndex } from "../matching.ts";
import { AUTHENTICATION_SERVICES } from "./authentication.ts";
import { DATA_SERVICES } from "./data.ts";
import { FAULT_SERVICES } from "./faults.ts";
import { ROUTINE_SERVICES } from "./routines.ts";
import { SECURITY_SERVICES } from "./security.ts";
import { SESSION_SERVICES } from "./session.ts";
import { TRANSFER_SERVICES } from "./transfer.ts";

export const SERVICES: ServiceIndex = indexServices([
  ...SESSION_SERVICES,
  ...DATA_SERVICES,
  ...SECURITY_SERVICES,
  ...FAULT_SERVICES,
  ...ROUTINE_SERVICES,
  ...TRANSFER_SERVICES,
  ...AUTHENTICATION_SERVICES,
]);
