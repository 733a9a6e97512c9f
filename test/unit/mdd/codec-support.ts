// What the codec's tests share: services compiled from descriptions.

import { ByteBuffer } from "flatbuffers";
import { compileService } from "#mdd/codec/compile.ts";
import type { CodecOptions } from "#mdd/codec/options.ts";
import type { ServicePlan } from "#mdd/codec/plan.ts";
import { type DiagService as DiagServiceTable, EcuData } from "#mdd/generated/dataformat.ts";
import type { DiagService, Param } from "#mdd/generated/description.ts";
import { codedConst, matchingRequest } from "#mdd/writer/dsl.ts";
import { writeEcuData } from "#mdd/writer/write.ts";

/** Compiles services from their descriptions, by way of a FlatBuffer. */
export function compileAll(services: readonly DiagService[], options: Partial<CodecOptions> = {}): ServicePlan[] {
  const bytes = writeEcuData({
    ecu_name: "TEST",
    variants: [{ diag_layer: { short_name: "TEST", diag_services: services }, is_base_variant: true }],
  });
  const layer = EcuData.getRootAsEcuData(new ByteBuffer(bytes)).variants(0)?.diagLayer();
  return services.map((_, i) => compileService(layer?.diagServices(i) as DiagServiceTable, options));
}

export function compile(service: DiagService, options: Partial<CodecOptions> = {}): ServicePlan {
  return compileAll([service], options)[0] as ServicePlan;
}

/** A service whose request is `2E F00D` and the parameters, its response `6E F00D` and the same; parameters begin at byte 3. */
export function symmetric(params: readonly Param[]): DiagService {
  return {
    diag_comm: { short_name: "Symmetric" },
    request: { params: [...didRequest(), ...params] },
    pos_responses: [
      {
        response_type: "POS_RESPONSE",
        params: [
          codedConst("SID_PR", 0x6e, 8, { byte: 0, semantic: "SERVICE-ID" }),
          matchingRequest("DID_PR", 1, 2, { byte: 1, semantic: "ID" }),
          ...params,
        ],
      },
    ],
  };
}

function didRequest(): Param[] {
  return [
    codedConst("SID_RQ", 0x2e, 8, { byte: 0, semantic: "SERVICE-ID" }),
    codedConst("DID_RQ", 0xf00d, 16, { byte: 1, semantic: "ID" }),
  ];
}
