/** Answers Flockwave messages about firmware. Knows no transport: text or objects come in, bodies go out. */
import { Fault } from "#core/errors.ts";
import { isObject } from "#core/json.ts";
import type { Authenticate, Caller } from "./access.ts";
import { type Answer, basicAnswers, type ServerFacts } from "./basics.ts";
import type { Budget, Share } from "./budget.ts";
import { type Body, type Incoming, notification, responseTo } from "./envelope.ts";
import { type Client, messageOf, Operations, type OperationsOptions } from "./operations.ts";
import { nak, names, Outcome, optionalText } from "./outcome.ts";

export interface HubOptions extends OperationsOptions, Omit<ServerFacts, "objects"> {
  readonly maxBlobBytes: number;
  /** Messages of one connection that are being taken. */
  readonly maxPending: number;
  /** Of blobs that are being taken, among everything else. */
  readonly budget: Budget;
  /** Undefined: nobody has to say who it is. */
  readonly authenticate: Authenticate | undefined;
}

/** One connection's place at the hub. */
export interface Session {
  receive(incoming: Incoming): void;
  /** Does nothing with it but answer why. */
  refuse(incoming: Incoming, reason: string): void;
  /** Undefined: nobody has to. @throws Fault when the token does not hold */
  readonly authenticate: ((token: string) => Promise<Caller>) | undefined;
  close(): void;
}

/** A client as the hub knows it. */
interface Connected extends Client {
  caller: Caller | undefined;
}

/** What a handler gives back; `sent` is called when the answer is on its way. */
interface Reply {
  readonly body: Body;
  sent?(): void;
}

type Handler = (body: Body, client: Connected) => Reply | Promise<Reply>;

const NO_HANDLER = "No handler managed to parse this message in the server";
/** Messages of those who have not said who they are yet. */
const OPEN = /^(SYS|AUTH)-/;

export class Hub {
  readonly #options: HubOptions;
  readonly #operations: Operations;
  readonly #handlers: Readonly<Record<string, Handler>>;

  constructor(options: HubOptions) {
    this.#options = options;
    this.#operations = new Operations(options);
    const basics = Object.entries(basicAnswers({ ...options, objects: () => options.port.objects() }));
    this.#handlers = {
      ...Object.fromEntries(
        basics.map(([type, answer]: [string, Answer]) => [type, (body) => ({ body: answer(body) })]),
      ),
      "AUTH-INF": ({ type }) => ({ body: { type, methods: this.#needed ? ["jwt"] : [], required: this.#needed } }),
      "AUTH-WHOAMI": ({ type }, { caller }) => ({ body: { type, user: caller?.user ?? "" } }),
      "AUTH-REQ": (body, client) => this.#authRequest(body, client),
      "FW-OBJECT-LIST": (body) => this.#objectList(body),
      "FW-TARGET-LIST": (body) => this.#targetList(body),
      "FW-TARGET-INF": (body) => this.#targetInf(body),
      "FW-UPLOAD": (body, client) => this.#upload(body, client),
      "ASYNC-CANCEL": (body, client) => this.#cancel(body, client),
      "ASYNC-RESUME": (body, client) => this.#resume(body, client),
    };
  }

  get #needed(): boolean {
    return this.#options.authenticate !== undefined;
  }

  /** A connection; `send` takes whole messages. */
  connect(address: string, send: (message: object) => void): Session {
    const client: Connected = {
      get actor() {
        return this.caller === undefined ? address : `${address} ${this.caller.user}`;
      },
      caller: undefined,
      notify: (body) => send(notification(body)),
    };
    let pending = 0;
    // one line of log, however much of it there is
    let told = false;
    const refuse: Session["refuse"] = ({ id }, reason) => {
      if (id !== undefined) send(responseTo(id, nak(reason)));
    };
    return {
      refuse,
      receive: (incoming) => {
        if (incoming.kind === "bad") {
          if (!told) this.#options.onProblem(incoming.reason, address);
          told = true;
          refuse(incoming, NO_HANDLER);
          return;
        }
        if (pending >= this.#options.maxPending) {
          refuse(incoming, "Too many messages are being taken");
          return;
        }
        pending++;
        this.#answer(incoming.body, client)
          .then(({ body, sent }) => {
            send(responseTo(incoming.id, body));
            sent?.();
          })
          .catch((problem) => this.#options.onProblem(problem, address))
          .finally(() => {
            pending--;
          });
      },
      authenticate: this.#needed ? (token) => this.#authenticate(token, client) : undefined,
      close: () => this.#operations.detach(client),
    };
  }

  close(): void {
    this.#operations.close();
  }

  async #answer(body: Body, client: Connected): Promise<Reply> {
    const handler = Object.hasOwn(this.#handlers, body.type) ? this.#handlers[body.type] : undefined;
    if (this.#needed && client.caller === undefined && !OPEN.test(body.type)) {
      return { body: nak("Authentication is required") };
    }
    try {
      return handler === undefined ? { body: nak(NO_HANDLER) } : await handler(body, client);
    } catch (error) {
      if (!(error instanceof Fault)) this.#options.onProblem(error, body.type);
      return { body: nak(error instanceof Fault ? error.message : NO_HANDLER) };
    }
  }

  async #authenticate(token: string, client: Connected): Promise<Caller> {
    const { authenticate } = this.#options;
    if (authenticate === undefined) throw new Fault("badRequest", "No authentication is needed");
    client.caller = await authenticate(token);
    return client.caller;
  }

  async #authRequest({ method, data }: Body, client: Connected): Promise<Reply> {
    if (method !== "jwt" || typeof data !== "string") throw new Fault("badRequest", "Only the method jwt is known");
    const type = "AUTH-RESP";
    try {
      const { user } = await this.#authenticate(data, client);
      return { body: { type, result: true, user } };
    } catch (error) {
      this.#options.onProblem(error, client.actor);
      client.caller = undefined;
      return { body: { type, result: false } };
    }
  }

  #objectList({ type, supports }: Body): Reply {
    const { port } = this.#options;
    const targets = supports === undefined ? [] : names(supports, "supports");
    const ids = port.objects().filter((object) => targets.every((target) => port.supports(object, target)));
    return { body: { type, ids } };
  }

  #targetList({ type, supportedBy }: Body): Reply {
    const { port } = this.#options;
    const objects = supportedBy === undefined ? [] : names(supportedBy, "supportedBy");
    const targets = port.targets().filter(({ id }) => objects.every((object) => port.supports(object, id)));
    return { body: { type, ids: targets.map(({ id }) => id) } };
  }

  #targetInf({ type, ids }: Body): Reply {
    const known = new Map(this.#options.port.targets().map((target) => [target.id, target]));
    const outcome = new Outcome();
    for (const id of names(ids, "ids")) {
      const target = known.get(id);
      if (target === undefined) outcome.error(id, "No such firmware update target");
      else outcome.add("result", id, { id: target.id, name: target.name });
    }
    return { body: outcome.body(type) };
  }

  async #upload(request: Body, client: Connected): Promise<Reply> {
    const { type, target, version, manifest, signature } = request;
    const ids = names(request.ids, "ids");
    if (typeof target !== "string" || target === "") throw new Fault("badRequest", "target names no target");
    const text = optionalText(version, "version");
    if (isObject(manifest) && ids.length > 1) throw new Fault("badRequest", "A signed upload is for one object");
    const outcome = new Outcome();
    const receipts: string[] = [];
    const wanted = ids.filter((id) => this.#accepts(id, target, outcome));
    const share = this.#options.budget.share();
    const blob = wanted.length === 0 ? undefined : this.#blob(request.blob, wanted, share, outcome);
    for (const object of blob === undefined ? [] : wanted) {
      try {
        const more = { version: text, manifest, signature, actor: client.actor, caller: client.caller };
        const receipt = await this.#register(object, { blob: blob!, ...more }, client);
        receipts.push(receipt);
        outcome.add("receipt", object, receipt);
      } catch (error) {
        outcome.error(object, this.#shown(error, object));
      }
    }
    share.set(0);
    return {
      body: outcome.body(type),
      sent: () => {
        for (const receipt of receipts) this.#operations.start(receipt);
      },
    };
  }

  async #register(
    object: string,
    request: Omit<Parameters<HubOptions["port"]["register"]>[0], "object">,
    client: Client,
  ): Promise<string> {
    this.#operations.claim(object);
    try {
      const upload = await this.#options.port.register({ object, ...request });
      return this.#operations.open(object, upload, client);
    } catch (error) {
      this.#operations.release(object);
      throw error;
    }
  }

  #accepts(object: string, target: string, outcome: Outcome): boolean {
    const { port } = this.#options;
    const problem = !port.objects().includes(object)
      ? "No such object"
      : !port.targets().some(({ id }) => id === target)
        ? "No such firmware update target"
        : port.supports(object, target)
          ? undefined
          : "This firmware update target is not supported.";
    if (problem !== undefined) outcome.error(object, problem);
    return problem === undefined;
  }

  #blob(text: unknown, objects: readonly string[], share: Share, outcome: Outcome): Uint8Array | undefined {
    try {
      return decodeBlob(text, this.#options.maxBlobBytes, share);
    } catch (error) {
      for (const object of objects) outcome.error(object, messageOf(error));
      return undefined;
    }
  }

  async #cancel(body: Body, client: Client): Promise<Reply> {
    const outcome = new Outcome();
    const cancelled: string[] = [];
    for (const id of names(body.ids, "ids")) {
      await this.#operations.cancel(id, client).then(
        () => cancelled.push(id),
        (error: unknown) => outcome.error(id, this.#shown(error, id)),
      );
    }
    for (const id of cancelled) outcome.success(id);
    const sent = () => {
      for (const id of cancelled) this.#operations.released(id);
    };
    return { body: outcome.body(body.type), sent };
  }

  /** Nothing is ever suspended here: a receipt is taken up again by a client that lost its connection meanwhile. */
  #resume(body: Body, client: Client): Reply {
    const outcome = new Outcome();
    const ended: Body[] = [];
    for (const id of names(body.ids, "ids")) {
      try {
        const end = this.#operations.attach(id, client);
        if (end !== undefined) ended.push(end);
        outcome.success(id);
      } catch (error) {
        outcome.error(id, this.#shown(error, id));
      }
    }
    const sent = () => {
      for (const end of ended) client.notify(end);
    };
    return { body: outcome.body(body.type), sent };
  }

  #shown(error: unknown, where: string): string {
    if (!(error instanceof Fault)) this.#options.onProblem(error, where);
    return messageOf(error);
  }
}

/** Bytes of a base64 text, once there is room for both. @throws Fault badRequest, payloadTooLarge, overloaded */
function decodeBlob(text: unknown, maxBytes: number, share: Share): Uint8Array {
  if (typeof text !== "string" || text.length % 4 !== 0) throw new Fault("badRequest", "The blob is no base64");
  if (text === "") throw new Fault("badRequest", "The blob is empty");
  const size = (text.length / 4) * 3 - (text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0);
  if (size > maxBytes) throw new Fault("payloadTooLarge", `A blob has at most ${maxBytes} bytes`);
  if (!share.set(text.length)) throw new Fault("overloaded", "Too many uploads are being taken");
  const bytes = Buffer.from(text, "base64");
  // characters that are none of base64 are left out, and these two belong to another alphabet: by far faster than a pattern
  if (bytes.byteLength === size && !text.includes("-") && !text.includes("_")) return bytes;
  share.set(0);
  throw new Fault("badRequest", "The blob is no base64");
}
