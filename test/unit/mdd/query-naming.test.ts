import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultConfig } from "#config/load.ts";
import { functionalGroupId, trimAffix, trimServiceName, withAction } from "#mdd/query/naming.ts";
import { DEFAULT_NAMING, type ServiceAction } from "#mdd/query/naming-convention.ts";
import { namingConvention } from "#mdd/query/naming-settings.ts";
import fc from "../../fixtures/properties.ts";

const { shortName, longName } = DEFAULT_NAMING;

// Naming rules: facts of the format, services; names as the real databases spell them.
const TRIMMED: readonly (readonly [name: string, sid: number | undefined, id: string])[] = [
  ["VINDataIdentifier_Read", 0x22, "VINDataIdentifier"],
  ["VINDataIdentifier_WRITE", 0x2e, "VINDataIdentifier"],
  ["Memory_Read_Dump", 0x22, "Memory"],
  ["Memory_Read_Dump_Func", 0x22, "Memory"],
  ["EnableRxAndEnableTx_Control", 0x28, "EnableRxAndEnableTx"],
  ["EnableRxAndEnableTx_Control_Func", 0x28, "EnableRxAndEnableTx"],
  ["DTC_Setting_Mode_On", 0x85, "On"],
  ["TimeCircuits_RequestResults", 0x31, "TimeCircuits"],
  ["Engage_Safety_Squints_Start_Func", 0x31, "Engage_Safety_Squints"],
  ["SelfTest_Start", undefined, "SelfTest_Start"],
  ["HardReset", 0x11, "HardReset"],
  ["_Read", 0x22, "_Read"],
];

for (const [name, sid, id] of TRIMMED) {
  test(`${name} is ${id}`, () => assert.equal(trimServiceName(DEFAULT_NAMING, name, sid), id));
}

test("long names lose their affix with a blank", () => {
  assert.equal(trimAffix("Vehicle Identification Number Read", longName), "Vehicle Identification Number");
});

test("an action is added where the convention has it", () => {
  const prefixed = {
    ...DEFAULT_NAMING,
    action: { ...DEFAULT_NAMING.action, position: "Prefix" as const, read: "Read_" },
  };
  assert.equal(withAction(DEFAULT_NAMING, "VIN", "requestResults"), "VIN_RequestResults");
  assert.equal(withAction(prefixed, "VIN", "read"), "Read_VIN");
});

test("trimming takes back what an action adds to data and configurations", () => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^[A-Za-z]{1,12}$/),
      fc.constantFrom<ServiceAction>("read", "write"),
      (name, action) => {
        assert.equal(trimAffix(withAction(DEFAULT_NAMING, name, action), shortName), name);
      },
    ),
  );
});

test("a name never becomes empty or longer", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.integer({ min: 0, max: 255 }), (name, sid) => {
      const id = trimServiceName(DEFAULT_NAMING, name, sid);
      assert.ok(id.length > 0 && name.includes(id));
    }),
  );
});

test("functional groups lose their protocol's name", () => {
  assert.equal(functionalGroupId("FGL_UDS_Ethernet_DoIP", "UDS_Ethernet_DoIP", "Suffix"), "fgl");
  assert.equal(functionalGroupId("UDS_Ethernet_DoIP_Body", "UDS_Ethernet_DoIP", "Prefix"), "body");
  assert.equal(functionalGroupId("Body", undefined, "Suffix"), "body");
});

test("the configuration's defaults are the default convention", () => {
  assert.deepEqual(namingConvention(defaultConfig().database.naming_convention), DEFAULT_NAMING);
});
