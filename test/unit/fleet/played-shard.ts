/** A worker entry that answers as the test says: calls wait under the token in their arguments until they are told what becomes of them. */
import { once } from "node:events";
import type { MessagePort } from "node:worker_threads";
import type { CallMessage, FromShard, Reply } from "#fleet/messages.ts";
import { type CallPacket, ReplyPacker, unpackCalls } from "#fleet/packets.ts";

/** What the test says beside what main says. */
export type Order =
  | { readonly type: "answer"; readonly token: number; readonly how: "packed" | "alone" | "fault" }
  | { readonly type: "sent"; readonly token: number }
  | { readonly type: "tell"; readonly message: FromShard }
  | { readonly type: "die" };

type Incoming =
  | { readonly type: "assign"; readonly generation: number }
  | CallPacket
  | Order
  | { readonly type: "stats" }
  | { readonly type: "stop" }
  | { readonly type: "cancel" };

const NO_STATS = { queued: {}, databases: 0, plans: 0, planBytes: 0, plansCompiled: 0, heapBytes: 0 };

export default async function run({ port, sent }: { port: MessagePort; sent: Int32Array }): Promise<void> {
  const ids = new Map<number, number>();
  const replies = new ReplyPacker();
  const post = (message: FromShard) => port.postMessage(message);
  const flush = () => {
    if (!replies.isEmpty) port.postMessage(replies.take());
  };
  const answer = (token: number, how: "packed" | "alone" | "fault") => {
    const id = ids.get(token);
    if (id === undefined) return;
    const reply: Reply = { status: 200, body: new TextEncoder().encode(String(token)) };
    if (how === "packed") replies.add(id, reply);
    else {
      flush();
      post(
        how === "alone"
          ? { type: "reply", id, reply: { ...reply, meta: {} } }
          : { type: "reply", id, fault: { kind: "notResponding", message: String(token) } },
      );
    }
  };
  const take = ({ id, args }: CallMessage) => ids.set((args as { token: number }).token, id);
  port.on("message", (message: Incoming) => {
    if (!("type" in message)) return unpackCalls(message, take);
    switch (message.type) {
      case "answer":
        return answer(message.token, message.how);
      case "sent": {
        const id = ids.get(message.token);
        if (id !== undefined) Atomics.store(sent, id % sent.length, id);
        return;
      }
      case "assign":
        return post({ type: "assigned", generation: message.generation, failed: {} });
      case "tell":
        return post(message.message);
      case "stats":
        flush();
        return post({ type: "stats", stats: NO_STATS });
      case "die":
        process.exit(1);
        return;
      case "stop":
        port.close();
    }
  });
  await once(port, "close");
}
