/** Updates (ISO 17978-3, 7.18): register, prepare, execute, status; verdicts between nodes and the audit beside. */
import { Fault } from "#core/errors.ts";
import { Type } from "#core/schema.ts";
import type { UpdateFacts } from "#security/plugin.ts";
import { attempt } from "#update/software/attempt.ts";
import { keyOfId, PackageSchema, readPackage } from "#update/software/package.ts";
import type { Updates } from "#update/software/updates.ts";
import type { SovdContext } from "./context.ts";
import { resourceNotFound } from "./guard.ts";
import { inTurns } from "./in-turns.ts";
import { type Answer, type AnyRequest, type Route, route } from "./route.ts";
import { IdItem, items, NO_CONTENT, ok, SchemaQuery, SovdErrorSchema } from "./schemas.ts";
import { sawTheEnd, statusAt, statusEvents } from "./update-status.ts";

const tag = "updates";
const ONE = "/updates/{id}" as const;
const MEDKIT_TYPE = "application/vnd.medkit.update+json";
const MAX_AUDIT_RECORDS = 1_000;

const ListQuery = Type.Object({
  origin: Type.Optional(Type.String({ description: "`remote`, `proximity` or `x-<ext>-<name>`; absent: all." })),
  "target-version": Type.Optional(Type.String()),
  "include-schema": Type.Optional(Type.Boolean()),
});
const AuditQuery = Type.Object({ after: Type.Optional(Type.Integer({ minimum: 0 })) });
const AnyObject = Type.Record(Type.String(), Type.Unknown());

const StatusWord = Type.Union(["pending", "inProgress", "completed", "failed"].map((word) => Type.Literal(word)));
const Percent = Type.Integer({ minimum: 0, maximum: 100 });
const Progress = Type.Object({
  entity: Type.String(),
  status: StatusWord,
  progress: Percent,
  step: Type.Optional(Type.String()),
  error: Type.Optional(SovdErrorSchema),
  "x-state": Type.String(),
  "x-from-version": Type.Optional(Type.String()),
  "x-to-version": Type.Optional(Type.String()),
});
const Status = Type.Object({
  phase: Type.Union([Type.Literal("prepare"), Type.Literal("execute")]),
  status: StatusWord,
  progress: Type.Optional(Percent),
  subprogress: Type.Optional(Type.Array(Progress)),
  sub_progress: Type.Optional(Type.Array(Type.Object({ name: Type.String(), progress: Percent }))),
  step: Type.Optional(Type.String()),
  error: Type.Optional(
    Type.Union([Type.String(), SovdErrorSchema], { description: "Plain text below the base path of ros2_medkit." }),
  ),
  "x-state": Type.String(),
  "x-attempt": Type.Integer(),
  "x-rollback-policy": Type.String(),
  "x-medkit": Type.Object({ phase: Type.String() }),
});
const Audit = Type.Object({ seq: Type.Integer(), event: Type.String(), hash: Type.String() });

const SignedHead = Type.Object({
  seq: Type.Integer(),
  hash: Type.String(),
  anchor: Type.Integer({ description: "Last record that was pruned by then." }),
  at: Type.String(),
  key: Type.String({ description: "SHA-256 of the public key (SPKI, DER)." }),
  signature: Type.String({ description: "Ed25519, base64." }),
});

/** The context's updates; 501 in a program without. */
export function updatesOf({ softwareUpdates }: SovdContext): Updates {
  if (softwareUpdates === undefined) throw new Fault("notImplemented", "This program takes no updates");
  return softwareUpdates;
}

/** Whether `Accept` names server-sent events and does not rule them out. */
function takesEvents(accept: string): boolean {
  return accept
    .split(",")
    .some((range) => /^\s*text\/event-stream\s*(;|$)/i.test(range) && !/;\s*q=0(\.0*)?\s*(;|$)/i.test(range));
}

/** A path without host, as clients of ros2_medkit know it. */
function pathOf({ base }: AnyRequest, id: string, rest = ""): string {
  return `${base}/updates/${encodeURIComponent(id)}${rest}`;
}

/** Registers a package for a caller who may. Resolves with its id. @throws Fault forbidden, and those of `Updates.register` */
export async function register(
  request: AnyRequest,
  context: SovdContext,
  body: Readonly<Record<string, unknown>>,
): Promise<string> {
  const updates = updatesOf(context);
  const { id, components: targets } = readPackage(body as Parameters<typeof readPackage>[0]);
  await permit(request, context, { id, targets, action: "register" });
  return updates.register(body, request.owner);
}

/** Asks whether the caller may do that. @throws Fault forbidden */
export async function permit(
  { claims }: Pick<AnyRequest, "claims">,
  { authenticator }: Pick<SovdContext, "authenticator">,
  update: Omit<UpdateFacts, "kind">,
): Promise<void> {
  if (claims !== undefined) await authenticator.validateUpdate?.(claims, { kind: "software", ...update });
}

/** What is done to an update, by whom. */
export type UpdateWork = (updates: Updates, id: string, actor: string) => Promise<void>;

/** Asks the security plugin, acts on an update, and puts a refusal on record. */
export async function act(
  request: AnyRequest,
  context: SovdContext,
  action: string,
  id: string,
  work: UpdateWork,
): Promise<void> {
  const updates = updatesOf(context);
  const { owner: actor } = request;
  await attempt(
    updates,
    { id, action, actor },
    async (targets) => {
      await permit(request, context, { id, targets, action });
      await work(updates, id, actor);
    },
    (problem) => context.onProblem(problem, `putting on record that ${action} was refused`),
  );
}

/** PUT without a body, answered with 202 and where the status is. */
function verb(name: string, summary: string, work: UpdateWork): Route {
  return route({
    method: "put",
    path: `${ONE}/${name}`,
    summary,
    tag,
    early: true,
    responses: {
      202: { description: "Under way; the status tells how far.", headers: { Location: "Path of the status." } },
    },
    handle: async (request, context): Promise<Answer> => {
      await act(request, context, name, request.params.id, work);
      // as it was registered: the path of a request is in lower case by now
      const { id } = updatesOf(context).get(request.params.id) as { readonly id: string };
      return { status: 202, headers: { Location: pathOf(request, id, "/status") } };
    },
  });
}

export const updateRoutes: readonly Route[] = [
  route({
    method: "get",
    path: "/updates",
    summary: "Ids of the updates",
    tag,
    early: true,
    query: ListQuery,
    responses: { 200: ok(items(Type.String())) },
    handle: ({ query }, context) => {
      const filter = { origin: query.origin, targetVersion: query["target-version"] };
      return { status: 200, json: { items: updatesOf(context).list(filter) } };
    },
  }),
  route({
    method: "post",
    path: "/updates",
    summary: "Register an update",
    tag,
    early: true,
    body: { kind: "json", family: "typed", schema: PackageSchema, types: [MEDKIT_TYPE] },
    responses: { 201: { ...ok(IdItem, "Registered."), headers: { Location: "Path of the update." } } },
    handle: async (request, context) => {
      const id = await register(request, context, request.body);
      return { status: 201, headers: { Location: pathOf(request, id) }, json: { id } };
    },
  }),
  route({
    method: "get",
    path: ONE,
    summary: "An update as it was registered",
    tag,
    early: true,
    query: SchemaQuery,
    responses: { 200: ok(PackageSchema) },
    handle: ({ params }, context) => ({ status: 200, json: updatesOf(context).get(params.id) }),
  }),
  route({
    method: "delete",
    path: ONE,
    summary: "Forget an update that is not under way",
    tag,
    early: true,
    responses: { 204: NO_CONTENT },
    handle: async (request, context) => {
      await act(request, context, "delete", request.params.id, (updates, id, actor) => updates.remove(id, actor));
      return { status: 204 };
    },
  }),
  verb("prepare", "Fetch, check and stage on all components", (updates, id, actor) => updates.prepare(id, actor)),
  verb("execute", "Install on all components", (updates, id, actor) => updates.execute(id, actor)),
  verb("automated", "Prepare and execute in one", (updates, id, actor) => updates.automated(id, actor)),
  verb("x-commit", "Verdict of the leading node: keep it", (updates, id, actor) => updates.commit(id, actor)),
  verb("x-close", "All nodes are new: drop the old software", (updates, id, actor) => updates.close(id, actor)),
  verb("x-rollback", "Stop, or go back", (updates, id, actor) => updates.rollback(id, actor)),
  route({
    method: "get",
    path: `${ONE}/status`,
    summary: "How far an update is; as server-sent events with `Accept: text/event-stream`",
    tag,
    early: true,
    headers: ["accept", "last-event-id"],
    query: SchemaQuery,
    responses: {
      200: { ...ok(Status, "The status; as server-sent events each change until the update is over."), events: true },
      204: { description: "To a follower that has seen the last event (`Last-Event-ID`): it need not come again." },
    },
    handle: (request, context) => {
      const updates = updatesOf(context);
      const { base, params } = request;
      if (!takesEvents(request.header("accept"))) return { status: 200, json: statusAt(base, updates, params.id) };
      if (sawTheEnd(updates, params.id, request.header("last-event-id"))) return { status: 204 };
      return { status: 200, events: statusEvents(updates, params.id, base) };
    },
  }),
  route({
    method: "get",
    path: `${ONE}/x-audit`,
    summary: "What happened to an update, who caused it, and how it ended",
    tag,
    early: true,
    query: AuditQuery,
    responses: { 200: ok(items(Audit, { signed_head: Type.Optional(SignedHead) })) },
    handle: async ({ params, query }, context) => {
      const updates = updatesOf(context);
      const records: { readonly seq: number }[] = [];
      for await (const record of inTurns(updates.auditChain(query.after))) {
        const { state: _, ...shown } = record;
        if (keyOfId(record.campaign) === keyOfId(params.id)) records.push(shown);
      }
      // the record of a deleted update stays on the chain
      if (records.length === 0) updates.record(params.id);
      // the first that vouches for all of these
      const [head] = updates.auditHeads(records.at(-1)?.seq);
      return { status: 200, json: { items: records, ...(head === undefined ? {} : { signed_head: head }) } };
    },
  }),
  route({
    method: "get",
    path: "/x-audit",
    summary: "The audit chain, as it can be verified",
    tag,
    early: true,
    query: AuditQuery,
    responses: { 200: ok(items(Audit, { signed_heads: Type.Optional(Type.Array(SignedHead)) })) },
    handle: ({ query }, context) => {
      const updates = updatesOf(context);
      const records = updates.auditWhole(query.after, MAX_AUDIT_RECORDS);
      // behind the last record as well: a chain that was cut shows
      const last = records.length < MAX_AUDIT_RECORDS ? Number.POSITIVE_INFINITY : records.at(-1)!.seq;
      const heads = updates.auditHeads(query.after).filter(({ seq }) => seq <= last);
      return { status: 200, json: { items: records, ...(heads.length === 0 ? {} : { signed_heads: heads }) } };
    },
  }),
  route({
    method: "get",
    path: "/components/{component}/x-medkit-update",
    summary: "What a component is to an update: role, hardware, version",
    tag,
    early: true,
    open: true,
    responses: { 200: ok(AnyObject) },
    handle: async (request, context) => {
      const updates = updatesOf(context);
      const { component } = request.params;
      if (!updates.knows(component)) throw resourceNotFound({ shownPath: request.path });
      return { status: 200, json: await updates.describe(component) };
    },
  }),
];

/** What a component has because something installs software on it. */
export const TARGET_COLLECTIONS = [
  "bulk-data",
  "software-packages",
  "x-medkit-update",
  "cyclic-subscriptions",
  "triggers",
] as const;

/** Resources of components that are no ECU: the node itself and what it installs on. */
export function ownComponentRoutes(names: readonly string[]): readonly Route[] {
  return names.flatMap((name) => [
    route({
      method: "get",
      path: `/components/${name}` as "/components/own",
      summary: `Component ${name} of this node`,
      tag: "components",
      early: true,
      open: true,
      links: true,
      responses: { 200: ok(AnyObject) },
      handle: ({ origin, base }) => {
        const here = `${origin}${base}/components/${name}`;
        const links = ["faults", ...TARGET_COLLECTIONS].map((collection) => [collection, `${here}/${collection}`]);
        return { status: 200, json: { id: name, name, ...Object.fromEntries(links) } };
      },
    }),
    route({
      method: "get",
      path: `/components/${name}/faults` as "/components/own/faults",
      summary: `Faults of ${name}`,
      tag: "faults",
      early: true,
      open: true,
      responses: { 200: ok(items(AnyObject)) },
      handle: (_request, context) => ({ status: 200, json: { items: updatesOf(context).faults() } }),
    }),
  ]);
}
