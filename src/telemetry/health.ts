/** How the program is: the state of each part, folded to one. */

export const HEALTH_STATUSES = ["Up", "Starting", "Pending", "Failed"] as const;
export type HealthStatus = (typeof HEALTH_STATUSES)[number];

/** The parts that `/health` names. */
export const HEALTH_COMPONENTS = ["main", "doip", "database"] as const;
export type HealthComponentName = (typeof HEALTH_COMPONENTS)[number];

export interface HealthComponent {
  readonly name: HealthComponentName;
  readonly status: HealthStatus;
  /** What a person should know: the reason of a failure, files that do not load. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface HealthSnapshot {
  readonly status: HealthStatus;
  readonly components: readonly HealthComponent[];
}

export interface Health {
  /** Puts a part into a state; a part appears with its first one. */
  set(name: HealthComponentName, status: HealthStatus, details?: Readonly<Record<string, unknown>>): void;
  /** Parts in the table's order. Nothing is allocated between changes. */
  snapshot(): HealthSnapshot;
  /** Called after each change of the whole or of a part. */
  onChange(listener: (snapshot: HealthSnapshot) => void): () => void;
}

/** All Up is Up; one Failed is Failed; anything else is Starting. Without parts nothing has begun. */
export function foldHealth(statuses: readonly HealthStatus[]): HealthStatus {
  if (statuses.includes("Failed")) return "Failed";
  return statuses.length > 0 && statuses.every((status) => status === "Up") ? "Up" : "Starting";
}

export function createHealth(): Health {
  const parts = new Map<HealthComponentName, HealthComponent>();
  const listeners = new Set<(snapshot: HealthSnapshot) => void>();
  let snapshot: HealthSnapshot = { status: "Starting", components: [] };
  return {
    set(name, status, details) {
      const before = parts.get(name);
      if (before?.status === status && before.details === details) return;
      parts.set(name, details === undefined ? { name, status } : { name, status, details });
      const components = HEALTH_COMPONENTS.flatMap((part) => parts.get(part) ?? []);
      snapshot = { status: foldHealth(components.map((part) => part.status)), components };
      for (const listener of listeners) listener(snapshot);
    },
    snapshot: () => snapshot,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
