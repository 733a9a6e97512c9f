import assert from "node:assert/strict";
import test from "node:test";
import { selectEcus, selectGroups } from "#fleet/catalog.ts";
import type { CatalogEntry } from "#fleet/messages.ts";

const entry = (over: Partial<CatalogEntry>): CatalogEntry => ({
  database: "a.mdd",
  version: "v",
  converter: undefined,
  name: "A",
  revision: "1",
  functional: false,
  gatewayAddress: 0x1000,
  ecuAddress: 0x1000,
  comParams: {} as CatalogEntry["comParams"],
  protocol: undefined,
  groups: [],
  fields: [],
  ...over,
});

test("one name, one address: the highest revision speaks, the other is named", () => {
  const { ecus, rejected } = selectEcus([
    entry({ revision: "9" }),
    entry({ database: "b.mdd", revision: "10", name: "a" }),
  ]);
  assert.deepEqual(
    ecus.map((e) => e.database),
    ["b.mdd"],
  );
  assert.deepEqual(
    rejected.map((r) => r.file),
    ["a.mdd"],
  );
});

test("one name, two addresses: none is used", () => {
  const { ecus, rejected } = selectEcus([entry({}), entry({ database: "b.mdd", ecuAddress: 0x2000 })]);
  assert.equal(ecus.length, 0);
  assert.equal(rejected.length, 2);
});

test("a short name stands for the group it belongs to, also where groups are enabled by name", () => {
  const described = entry({
    database: "fg.mdd",
    name: "functional_groups",
    functional: true,
    groups: ["all_doip", "other"],
    groupAliases: { all: "all_doip" },
  });
  const { groups, aliases } = selectGroups([described], "functional_groups", ["All"]);
  assert.deepEqual(groups, ["all_doip"]);
  assert.equal(aliases.get("all"), "all_doip");
});

test("functional groups come from the described database, filtered by what is enabled", () => {
  const entries = [
    entry({}),
    entry({ database: "fg.mdd", name: "functional_groups", functional: true, groups: ["x", "y"] }),
  ];
  assert.deepEqual(selectGroups(entries, "functional_groups", undefined), {
    description: { database: "fg.mdd", version: "v", converter: undefined },
    groups: ["x", "y"],
    aliases: new Map(),
  });
  assert.deepEqual(selectGroups(entries, "functional_groups", ["Y"]).groups, ["y"]);
  assert.deepEqual(selectGroups(entries, "absent", undefined), {
    description: undefined,
    groups: [],
    aliases: new Map(),
  });
});
