import assert from "node:assert/strict";
import { inspect } from "node:util";
import { encodeErrorResult, HttpRequestError, RpcRequestError, TimeoutError } from "viem";
import { mystClearingAbi } from "../../../src/chain/abi/myst-clearing.ts";
import { protocolPrefix } from "../../../src/chain/deploy.ts";
import { chainError, rpcDetails } from "../../../src/chain/errors.ts";
import type { Hex } from "../../../src/lib/codec.ts";
import { MystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";

const url = "https://rpc.example/v2/secretkey";
const signer: Hex = `0x${"1".repeat(40)}`;
const rpcError = (message: string, data?: Hex, code = 3) =>
  new RpcRequestError({ body: {}, url, error: { code, message, ...(data && { data }) } });

describe("chain/errors", (test) => {
  test("an RPC that is silent and one that refuses are both passed over", () => {
    assert.equal(chainError(new HttpRequestError({ url }), "x").code, "RPC_UNREACHABLE");
    assert.equal(chainError(new TimeoutError({ body: {}, url }), "x").code, "RPC_UNREACHABLE");
    assert.equal(chainError(rpcError("daily limit exceeded", undefined, -32005), "x").code, "RPC_UNREACHABLE");
  });

  test("no URL gets out: it may hold a key", () => {
    for (const error of [
      new HttpRequestError({ url, details: `at ${url}` }),
      new TimeoutError({ body: {}, url }),
      rpcError(`see ${url}`),
    ]) {
      assert.doesNotMatch(inspect(chainError(error, "x"), { depth: 9 }), /secretkey/);
      assert.doesNotMatch(rpcDetails(error), /secretkey/);
    }
  });

  test("what the contract reverts with has a code of its own", () => {
    const revert = (name: "AccountClosing" | "NotOwner" | "TooEarly", args: [Hex, number] | [Hex, Hex]) =>
      chainError(rpcError("execution reverted", encodeErrorResult({ abi: mystClearingAbi, errorName: name, args } as never)), "x");
    assert.equal(revert("AccountClosing", [signer, 5]).code, "ACCOUNT_CLOSING");
    assert.equal(revert("TooEarly", [signer, 5]).code, "ACCOUNT_CLOSING");
    assert.equal(revert("NotOwner", [signer, signer]).code, "NOT_OWNER");
    assert.equal(chainError(rpcError("execution reverted"), "x").code, "TRANSACTION_FAILED");
  });

  test("no coin for fees, and what is ours already", () => {
    assert.equal(chainError(rpcError("insufficient funds for gas * price + value", undefined, -32000), "x").code, "INSUFFICIENT_GAS");
    const ours = new MystError("CONTRACT_MISSING", "gone");
    assert.equal(chainError(ours, "x"), ours);
    assert.equal(chainError(new TypeError("a bug"), "x").code, "INTERNAL");
  });
});

describe("chain/deploy: a network's protocol prefix", (test) => {
  test("comes from chain and contract alone", () => {
    assert.equal(protocolPrefix(31337, signer), protocolPrefix(31337, signer));
    assert.notEqual(protocolPrefix(31337, signer), protocolPrefix(31338, signer));
    assert.notEqual(protocolPrefix(31337, signer), protocolPrefix(31337, `0x${"2".repeat(40)}`));
  });
});
