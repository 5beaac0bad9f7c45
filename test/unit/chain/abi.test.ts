import assert from "node:assert/strict";
import { mystClearingAbi, mystClearingBytecode } from "../../../src/chain/abi/myst-clearing.ts";
import { describe } from "../../support/harness.ts";

const functions = mystClearingAbi.filter((item) => item.type === "function");
const changing = functions.filter(({ stateMutability }) => !["view", "pure"].includes(stateMutability)).map(({ name }) => name);
/** EIP-170 */
const mostBytes = 24_576;
const push1 = 0x60;
const push32 = 0x7f;

describe("chain/abi: what the contract lets anybody do", (test) => {
  test("nobody owns it, stops it or changes it: there is nothing to call for that", () => {
    assert.deepEqual(changing.sort(), ["clear", "close", "collect", "deposit", "depositWithPermit", "settle", "withdraw"]);
    assert.deepEqual(
      mystClearingAbi.map(({ type }) => type as string).filter((type) => type === "fallback" || type === "receive"),
      [],
    );
  });

  test("nor does its code run another's in its place", () => {
    const ran = instructions(Buffer.from(mystClearingBytecode.slice(2), "hex"));
    for (const [name, code] of Object.entries({ CALLCODE: 0xf2, DELEGATECALL: 0xf4, SELFDESTRUCT: 0xff })) assert.ok(!ran.has(code), name);
    assert.ok(ran.has(0xf1), "CALL: the token is called");
    assert.ok((mystClearingBytecode.length - 2) / 2 < mostBytes);
  });
});

/** The opcodes in a contract's code, without what its pushes carry. */
function instructions(code: Uint8Array): Set<number> {
  const found = new Set<number>();
  for (let at = 0; at < code.length; at += 1) {
    const opcode = code[at] ?? 0;
    found.add(opcode);
    if (opcode >= push1 && opcode <= push32) at += opcode - push1 + 1;
  }
  return found;
}
