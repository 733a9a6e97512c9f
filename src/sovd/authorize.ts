/** Tokens for credentials. */
import { Type } from "#core/schema.ts";
import { type Route, route } from "./route.ts";
import { ok } from "./schemas.ts";

/** What the authenticator in charge makes of it is its own: a plugin may ask for other members. */
const Credentials = Type.Object({
  client_id: Type.Optional(Type.String()),
  client_secret: Type.Optional(Type.String()),
});
const Token = Type.Object({
  access_token: Type.String(),
  token_type: Type.Literal("Bearer"),
  expires_in: Type.Integer({ description: "Seconds left." }),
});

export const authorizeRoutes: readonly Route[] = [
  route({
    method: "post",
    path: "/authorize",
    summary: "Get a token for credentials",
    tag: "authorization",
    public: true,
    early: true,
    exclusive: false,
    body: { kind: "json", family: "lenient", schema: Credentials },
    responses: { 200: ok(Token) },
    handle: async (request, { authenticator }) => ({ status: 200, json: await authenticator.authorize(request.body) }),
  }),
];
