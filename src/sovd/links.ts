/** Lists of links: what stands below a path. */
import { type Route, route } from "./route.ts";
import { items, LinkItem, ok, SchemaQuery } from "./schemas.ts";

/** An entry of a list; `segment` when its path differs from its name. */
interface LinkEntry {
  readonly name: string;
  readonly segment?: string;
}

/** An open route whose answer is a fixed list of links, `{"items":[{"href","name"}]}`. */
export function indexRoute(path: string, summary: string, tag: string, entries: readonly LinkEntry[]): Route {
  return route({
    method: "get",
    path,
    summary,
    tag,
    open: true,
    links: true,
    query: SchemaQuery,
    responses: { 200: ok(items(LinkItem)) },
    handle: (request) => {
      const here = `${request.origin}${request.path}`;
      const links = entries.map(({ name, segment = name }) => ({ href: `${here}/${segment}`, name }));
      return { status: 200, json: { items: links } };
    },
  });
}
