/** PROG-CODE and LIBRARY (ISO 22901-1 §7.3.7): files of program code that a job or compu method calls. */
import type { Library, ProgCode } from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import { type Context, once } from "./context.ts";
import { list, type OdxElement, textOf } from "./element.ts";
import { resolveAll } from "./links.ts";
import { longNameOf, nameOf, requiredChild, unlessEmpty } from "./values.ts";

export function buildProgCode(context: Context, element: OdxElement): ProgCode {
  const libraries = resolveAll(context, list(element, "LIBRARY-REFS", "LIBRARY-REF"), ["LIBRARY"]);
  return defined<ProgCode>({
    code_file: requiredChild(context, element, "CODE-FILE")?.text.trim(),
    encryption: textOf(element, "ENCRYPTION"),
    syntax: textOf(element, "SYNTAX"),
    revision: textOf(element, "REVISION"),
    entrypoint: textOf(element, "ENTRYPOINT"),
    library: unlessEmpty(libraries.flatMap((library) => buildLibrary(context, library) ?? [])),
  });
}

function buildLibrary(context: Context, element: OdxElement): Library | undefined {
  return once(context, element, () =>
    defined<Library>({
      short_name: nameOf(context, element),
      long_name: longNameOf(element),
      code_file: requiredChild(context, element, "CODE-FILE")?.text.trim(),
      encryption: textOf(element, "ENCRYPTION"),
      syntax: textOf(element, "SYNTAX"),
      entry_point: textOf(element, "ENTRYPOINT"),
    }),
  );
}
