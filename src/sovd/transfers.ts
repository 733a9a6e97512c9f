/** Flash transfers: one per component, bound to who started it. Progress comes from the shard's events. */
import { randomUUID } from "node:crypto";
import { Fault } from "#core/errors.ts";
import type { Fleet } from "#fleet/api.ts";
import type { TransferMessage, TransferStart } from "#fleet/messages.ts";

interface OwnedTransfer {
  readonly ecuName: string;
  readonly owner: string;
  readonly first: TransferMessage;
}

export class TransferRegistry {
  readonly #byEcu = new Map<string, OwnedTransfer>();
  readonly #fleet: Fleet;

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  /** Transfers that exist, ended ones included until they are deleted. */
  get size(): number {
    return this.#byEcu.size;
  }

  /** Transfers that wait or run. */
  get running(): number {
    let count = 0;
    for (const ecu of this.#byEcu.keys()) if (isRunning(this.of(ecu))) count++;
    return count;
  }

  /** The component's transfer as far as it has come. */
  of(ecu: string): TransferMessage | undefined {
    const owned = this.#byEcu.get(ecu);
    if (owned === undefined) return undefined;
    const latest = this.#fleet.transfer(owned.ecuName);
    return latest?.id === owned.first.id ? latest : owned.first;
  }

  /** The same, `notFound` for another id. */
  get(ecu: string, id: string): TransferMessage {
    const transfer = this.of(ecu);
    if (transfer?.id !== id) throw new Fault("notFound", `No flash transfer with id ${id}`);
    return transfer;
  }

  /** Takes the component's place and hands out what the shard is told; `conflict` while a transfer exists. */
  create(ecu: string, ecuName: string, owner: string, start: Omit<TransferStart, "id">): TransferStart {
    if (this.#byEcu.has(ecu)) throw new Fault("conflict", "A flash transfer exists already for this component");
    const id = randomUUID();
    const first: TransferMessage = {
      type: "transfer",
      ecu: ecuName,
      id,
      fileId: start.fileId,
      status: "queued",
      acknowledgedBytes: 0,
      blockSize: start.blockSize,
      nextBlockSequenceCounter: start.blockSequenceCounter,
    };
    this.#byEcu.set(ecu, { ecuName, owner, first });
    return { ...start, id };
  }

  /** Deletes an ended transfer; `forbidden` for another caller, `badRequest` while it runs. */
  remove(ecu: string, id: string, owner: string): void {
    const transfer = this.get(ecu, id);
    if (this.#byEcu.get(ecu)!.owner !== owner) throw new Fault("forbidden", "The transfer belongs to another user");
    if (isRunning(transfer)) throw new Fault("badRequest", "The transfer is still running");
    this.drop(ecu);
  }

  /** Forgets a transfer, whatever its state. */
  drop(ecu: string): void {
    const owned = this.#byEcu.get(ecu);
    if (owned === undefined) return;
    this.#byEcu.delete(ecu);
    this.#fleet.forgetTransfer(owned.ecuName);
  }

  /** Transfers that still run and belong to `owner`, e.g. when the lock they stood on goes. */
  runningOf(owner: string, ecu?: string): readonly TransferMessage[] {
    const running: TransferMessage[] = [];
    for (const [key, owned] of this.#byEcu) {
      if (owned.owner !== owner || (ecu !== undefined && key !== ecu)) continue;
      const transfer = this.of(key)!;
      if (isRunning(transfer)) running.push(transfer);
    }
    return running;
  }
}

function isRunning(transfer: TransferMessage | undefined): boolean {
  return transfer?.status === "queued" || transfer?.status === "running";
}
