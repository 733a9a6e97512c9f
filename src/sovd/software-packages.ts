/** Software packages of a component, as clients of OpenSOVD's native server know them: the updates of this node, seen from a component. */

import type { Updates } from "#update/software/updates.ts";
import {
  PackageManifestSchema,
  packageFrom,
  packageOfComponent,
  packagesOf,
  SoftwarePackageSchema,
} from "#update/software/views/software-package.ts";
import type { SovdContext } from "./context.ts";
import { resourceNotFound } from "./guard.ts";
import { type Answer, type AnyRequest, type Route, route } from "./route.ts";
import { items, ok } from "./schemas.ts";
import { act, register, type UpdateWork, updatesOf } from "./updates.ts";

const COLLECTION = "/components/{component}/software-packages" as const;
const ONE = `${COLLECTION}/{package}` as const;
const tag = "software-packages";
const UNDER_WAY = {
  ...ok(SoftwarePackageSchema, "Under way; the status tells how far."),
  headers: { Location: "Path of the status." },
};

/** @throws Fault notFound when the node knows no such component */
function updatesFor(request: AnyRequest, context: SovdContext): Updates {
  const updates = updatesOf(context);
  if (!updates.knows(request.params.component)) throw resourceNotFound({ shownPath: request.path });
  return updates;
}

/** Acts on the update that the package is of; `action`: what rights and the record call it. */
async function actOn(request: AnyRequest, context: SovdContext, action: string, work: UpdateWork): Promise<Answer> {
  const { component, package: id } = request.params as { component: string; package: string };
  const updates = updatesFor(request, context);
  packageOfComponent(updates, component, id);
  await act(request, context, action, id, work);
  const shown = packageOfComponent(updates, component, id);
  const Location = `${request.base}/components/${component}/software-packages/${encodeURIComponent(shown.id)}/status`;
  return { status: 202, headers: { Location }, json: shown };
}

function verb(name: string, action: string, summary: string, work: UpdateWork): Route {
  return route({
    method: "post",
    path: `${ONE}/${name}`,
    summary,
    tag,
    early: true,
    responses: { 202: UNDER_WAY },
    handle: (request, context) => actOn(request, context, action, work),
  });
}

export const softwarePackageRoutes: readonly Route[] = [
  route({
    method: "get",
    path: COLLECTION,
    summary: "Software packages of a component",
    tag,
    early: true,
    responses: { 200: ok(items(SoftwarePackageSchema)) },
    handle: (request, context) => {
      return { status: 200, json: { items: packagesOf(updatesFor(request, context), request.params.component) } };
    },
  }),
  route({
    method: "post",
    path: ONE,
    summary: "Install a package without running it yet; with a body, one that is not registered",
    tag,
    early: true,
    body: { kind: "json", family: "typed", schema: PackageManifestSchema, optional: true },
    responses: { 202: UNDER_WAY },
    handle: async (request, context) => {
      const { params, body } = request;
      const updates = updatesFor(request, context);
      if (body !== undefined)
        await register(request, context, packageFrom(updates, params.component, params.package, body));
      return actOn(request, context, "prepare", (_, id, actor) => updates.prepare(id, actor));
    },
  }),
  route({
    method: "get",
    path: `${ONE}/status`,
    summary: "How far a package is",
    tag,
    early: true,
    responses: { 200: ok(SoftwarePackageSchema) },
    handle: (request, context) => {
      const { component, package: id } = request.params;
      return { status: 200, json: packageOfComponent(updatesFor(request, context), component, id) };
    },
  }),
  verb("activate", "execute", "Run an installed package, on trial until it was healthy", (updates, id, actor) =>
    updates.execute(id, actor),
  ),
  verb("rollback", "x-rollback", "Stop a package, or go back to what ran before it", (updates, id, actor) =>
    updates.rollback(id, actor),
  ),
];
