/** `sovd-edge mdd`: tools for diagnostic databases. */
import type { Command } from "commander";
import { registerBuild } from "./mdd-build.ts";
import { registerCodec } from "./mdd-codec.ts";
import { registerConvert } from "./mdd-convert.ts";
import { registerDiff } from "./mdd-diff.ts";
import { registerInspect } from "./mdd-inspect.ts";
import { registerOpenApi } from "./mdd-openapi.ts";
import { registerVectors } from "./mdd-vectors.ts";
import { registerVerify } from "./mdd-verify.ts";

export function register(program: Command): void {
  const mdd = program.command("mdd").description("Look into, check, compare, make and convert diagnostic databases");
  registerInspect(mdd);
  registerVerify(mdd);
  registerDiff(mdd);
  registerCodec(mdd);
  registerBuild(mdd);
  registerConvert(mdd);
  registerOpenApi(mdd);
  registerVectors(mdd);
}
