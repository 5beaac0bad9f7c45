import assert from "node:assert/strict";
import { encodeFunctionData, type Hex, parseAbi } from "viem";
import { approval, closing, consentOf, depositing, requireConsent, withdrawing } from "../../../src/chain/outside.ts";
import { createIdentity } from "../../../src/identity/identity.ts";
import { isMystError } from "../../../src/lib/errors.ts";
import { parseNetwork } from "../../../src/lib/network-config.ts";
import { describe } from "../../support/harness.ts";
import { networkJson } from "../api/fake-node.ts";

const network = parseNetwork(JSON.stringify(networkJson), "test");
const identity = createIdentity(new Uint8Array(32).fill(7));
const owner: Hex = `0x${"ab".repeat(20)}`;
const consent = consentOf(identity, network, owner);

/** As a wallet reads a link: its target, chain and function, and the arguments by their types. */
function read(link: string): { to: string; chainId: number; data: Hex } {
  const [, to = "", chainId = "", name = "", query = ""] = /^ethereum:(0x[0-9a-f]{40})@(\d+)\/(\w+)\?(.*)$/.exec(link) ?? [];
  const pairs = query.split("&").map((pair) => pair.split("=") as [string, string]);
  const abi = parseAbi([`function ${name}(${pairs.map(([type]) => type).join(",")})`]);
  const args = pairs.map(([type, value]) => (type.startsWith("(") ? value.slice(1, -1).split(",") : value));
  return {
    to,
    chainId: Number(chainId),
    data: encodeFunctionData({ abi, functionName: name, args } as Parameters<typeof encodeFunctionData>[0]),
  };
}

describe("chain/outside: what a wallet elsewhere is to send", (test) => {
  test("a link says what the calldata says", () => {
    const all = [
      approval(network, 2n ** 90n + 1n),
      depositing(network, { signer: identity.address, amount: 2n ** 95n, bond: 7n, consent }),
      closing(network, identity.address),
      withdrawing(network, identity.address, owner),
    ];
    assert.deepEqual(
      all.map(({ what }) => what),
      ["approve", "deposit", "close", "withdraw"],
    );
    for (const { what, chainId, to, data, link } of all) {
      assert.deepEqual(read(link), { to, chainId, data }, what);
      assert.equal(to, what === "approve" ? network.token.address : network.contract);
      assert.match(link, /^[\x21-\x7e]+$/, "no character that a line or a shell word would break at");
    }
  });

  test("a consent is its signer's, for one owner on one contract", () => {
    const { address: signer } = identity;
    requireConsent(network, { signer, owner, consent });
    const refused = (change: object, of = network) =>
      assert.throws(
        () => requireConsent(of, { signer, owner, consent, ...change }),
        (error) => isMystError(error, "BAD_SIGNATURE"),
        JSON.stringify(change),
      );
    refused({ owner: `0x${"ac".repeat(20)}` });
    refused({ signer: owner });
    refused({ consent: `0x${"00".repeat(64)}` });
    refused({ consent: "0x12" });
    refused({}, { ...network, contract: owner });
    refused({}, { ...network, chainId: 1 });
  });
});
