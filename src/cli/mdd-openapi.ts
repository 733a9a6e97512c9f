/** `sovd-edge mdd openapi`: the API that a database gives. */
import type { Command } from "commander";
import { Option } from "commander";
import { chooseScope } from "#mdd/tools/choose.ts";
import { openApiOf } from "#mdd/tools/openapi.ts";
import { addLimits, type LimitFlags, withMdd, writeOutput } from "./mdd-files.ts";
import { jsonText, processTerminal, type Terminal } from "./mdd-terminal.ts";

export interface OpenApiFlags extends LimitFlags {
  readonly variant?: string;
  readonly output?: string;
  readonly basePath: string;
  readonly shape: "cda" | "iso";
}

export function registerOpenApi(mdd: Command): void {
  addLimits(
    mdd
      .command("openapi <file>")
      .description("Print the OpenAPI 3.1 document of the resources that a database gives")
      .option("--variant <name>", "variant or functional group (default: the base variant)")
      .option("-o, --output <file>", "file to write instead of standard output")
      .option("--base-path <path>", "where the tree stands", "/vehicle/v15")
      .addOption(
        new Option("--shape <shape>", "structures flattened or nested").choices(["cda", "iso"]).default("cda"),
      ),
  ).action((file: string, flags: OpenApiFlags) => openApi(file, flags));
}

/** Prints or writes the document. @throws Fault naming file and place */
export async function openApi(
  file: string,
  flags: OpenApiFlags,
  terminal: Terminal = processTerminal(),
): Promise<void> {
  const { basePath, shape, variant } = flags;
  const document = await withMdd(file, flags, ({ database }) =>
    openApiOf(database, chooseScope(database, variant), { basePath, shape }),
  );
  const text = jsonText(document);
  if (flags.output === undefined) terminal.out(text);
  else writeOutput(flags.output, text);
}
