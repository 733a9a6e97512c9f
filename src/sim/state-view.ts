/** What the control API shows of an ECU's state. Undefined values are left out of the JSON. */
import { toHex } from "#core/bytes.ts";
import type { EcuState } from "./state.ts";

/** Body of `GET /{ecu}/state`. */
export function stateView(state: EcuState): Record<string, unknown> {
  return {
    variant: state.variant,
    sessionState: state.sessionState,
    securityAccess: state.securityAccess,
    authentication: state.authentication,
    vin: state.vin,
    hardResetForSeconds: state.hardResetForSeconds,
    maxNumberOfBlockLength: state.maxNumberOfBlockLength,
    blocks: state.blocks,
    communicationControlType: state.communicationControlType,
    temporalEraId: state.temporalEraId,
    dtcSettingType: state.dtcSettingType,
  };
}

/** Body of `GET /{ecu}/datatransfers/downloads`; the checksum is there once a transfer has ended. */
export function downloadsView(state: EcuState): Record<string, unknown> {
  return {
    transfers: state.transfers.map((transfer) => ({
      addressAndLengthIdentifier: transfer.addressAndLengthIdentifier,
      memoryAddress: toHex(transfer.memoryAddress, " "),
      memorySize: toHex(transfer.memorySize, " "),
      isActive: transfer.isActive,
      dataTransferCount: transfer.dataTransferCount,
      checksum: transfer.checksum && toHex(transfer.checksum, " "),
    })),
  };
}
