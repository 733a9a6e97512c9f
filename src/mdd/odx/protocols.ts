/** Protocols and protocol stacks, which are found by name in the whole set. */
import type { Protocol, ProtStack } from "../generated/description.ts";
import { type Context, isUnderWay } from "./context.ts";
import { list, type OdxElement, shortName } from "./element.ts";

/** The protocol that a PROTOCOL-SNREF names. In a protocol that is just being built the reference is left out: it would close a circle. */
export function protocolNamed(context: Context, ref: OdxElement): Protocol | undefined {
  const name = ref.attributes["SHORT-NAME"] ?? "";
  const layer = context.library.layers.find((one) => one.root.tag === "PROTOCOL" && one.name === name);
  if (layer === undefined) {
    context.report.at(ref, "error", `${ref.tag}: no protocol is named ${name}`);
    return undefined;
  }
  return isUnderWay(context, layer.root) ? undefined : context.build.protocol(context, layer.root);
}

/** The protocol stack that a PROT-STACK-SNREF names. */
export function protStackNamed(context: Context, ref: OdxElement): ProtStack | undefined {
  const name = ref.attributes["SHORT-NAME"] ?? "";
  for (const { root } of context.library.containers) {
    const stack = list(root, "PROT-STACKS", "PROT-STACK").find((one) => shortName(one) === name);
    if (stack !== undefined) return isUnderWay(context, stack) ? undefined : context.build.protStack(context, stack);
  }
  context.report.at(ref, "error", `${ref.tag}: no protocol stack is named ${name}`);
  return undefined;
}
