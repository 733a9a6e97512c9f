/** Database descriptions by function, for databases written by hand: demo vehicle, simulator, tests. */
export * from "./dsl/dops.ts";
export * from "./dsl/layers.ts";
export * from "./dsl/params.ts";
export * from "./dsl/services.ts";
export * from "./dsl/types.ts";
