/** Lists of links: what stands below a path. */
import { type Answer, type ResponseSpec, type Route, route } from "./route.ts";
import { items, LinkItem, ok, SchemaQuery } from "./schemas.ts";

export const LINK_LIST: Readonly<Record<number, ResponseSpec>> = { 200: ok(items(LinkItem)) };

/** `{"items":[{"href","name"}]}` for entries below `path`; `segment` when an entry's path differs from its name. */
export function linkList(
  request: { readonly origin: string; readonly path: string },
  entries: readonly { readonly name: string; readonly segment?: string }[],
): Answer {
  const here = `${request.origin}${request.path}`;
  const items = entries.map(({ name, segment = name }) => ({ href: `${here}/${segment}`, name }));
  return { status: 200, json: { items } };
}

/** An open route whose answer is a fixed list of links. */
export function indexRoute(
  path: string,
  summary: string,
  tag: string,
  entries: readonly { readonly name: string; readonly segment?: string }[],
): Route {
  return route({
    method: "get",
    path,
    summary,
    tag,
    open: true,
    links: true,
    query: SchemaQuery,
    responses: LINK_LIST,
    handle: (request) => linkList(request, entries),
  });
}
