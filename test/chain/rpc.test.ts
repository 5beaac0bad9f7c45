import assert from "node:assert/strict";
import { inspect } from "node:util";
import { encodeDeployData } from "viem";
import { mystClearingAbi, mystClearingBytecode } from "../../src/chain/abi/myst-clearing.ts";
import { createChain } from "../../src/chain/client.ts";
import { deployNetwork } from "../../src/chain/deploy.ts";
import { startAnvil } from "../../src/devnet/anvil.ts";
import { systemClock } from "../../src/lib/clock.ts";
import type { Hex } from "../../src/lib/codec.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import { describe } from "../support/harness.ts";
import { until } from "../support/until.ts";
import { chainOf, fails, myst, type Rig, startGate, startRig } from "./rig.ts";

const nobody = `0x${"77".repeat(20)}` as const;
/** port 9 is reserved, and nothing listens on it here */
const dead = "http://127.0.0.1:9";

describe("chain: which RPC is spoken to", (test, { before, after }) => {
  let rig: Rig;
  before(async () => {
    rig = await startRig();
  });
  after(async () => rig[Symbol.asyncDispose]());

  test("another chain is told from ours", async () => {
    const error = await fails(chainOf(rig.rpc, { ...rig.network, chainId: 1 }).account(nobody), "RPC_WRONG_CHAIN");
    assert.deepEqual(error.meta, { expected: 1, actual: 31337 });
  });

  test("an address without a contract", async () => {
    await fails(chainOf(rig.rpc, { ...rig.network, contract: nobody }).account(nobody), "CONTRACT_MISSING");
  });

  test("another contract, or ours with another token", async () => {
    await fails(chainOf(rig.rpc, { ...rig.network, contract: rig.network.token.address }).account(nobody), "CONTRACT_MISMATCH");
    const token = { ...rig.network.token, address: nobody };
    await fails(chainOf(rig.rpc, { ...rig.network, token }).account(nobody), "CONTRACT_MISMATCH");
  });

  test("a contract that signs for another domain", async () => {
    const hexOf = (text: string) => Buffer.from(text).toString("hex");
    const bytecode = mystClearingBytecode.replaceAll(hexOf("MystClearing"), hexOf("MystClearinG")) as Hex;
    const data = encodeDeployData({ abi: mystClearingAbi, bytecode, args: [rig.network.token.address] });
    const [from] = (await rig.ask("eth_accounts")) as Hex[];
    const hash = await rig.ask("eth_sendTransaction", { from, data });
    const receipt = () => rig.ask("eth_getTransactionReceipt", hash) as Promise<{ contractAddress: Hex } | null>;
    await until(async () => (await receipt()) !== null);
    const contract = (await receipt())?.contractAddress.toLowerCase() as Hex;
    const error = await fails(chainOf(rig.rpc, { ...rig.network, contract }).account(nobody), "CONTRACT_MISMATCH");
    assert.match(error.message, /MystClearinG/);
  });

  test("making a chain asks nothing; a dead RPC is said so, with a hint", async () => {
    const chain = chainOf(dead, rig.network, rig.stranger().identity);
    assert.deepEqual(chain.status(), { reachable: false });
    const error = await fails(chain.account(nobody), "RPC_UNREACHABLE");
    assert.match(error.hint ?? "", /--rpc/);
    await fails(chain.prepareSettle([], nobody), "RPC_UNREACHABLE");
    await fails(chain.deposit(myst, myst), "RPC_UNREACHABLE");
    const status = await chain.check();
    assert.equal(status.reachable, false);
    assert.match(status.problem ?? "", /does not answer/);
  });

  test("the first URL that works is used, and checked like the first", async () => {
    const { network, log, clock } = { network: rig.network, log: silentLogger, clock: systemClock };
    const chain = createChain({ network: { ...network, rpc: [rig.rpc] }, rpc: dead, log, clock });
    assert.equal((await chain.account(nobody)).balance, 0n);
    const { reachable, block, problem } = await chain.check();
    assert.equal(reachable, true);
    assert.equal(problem, undefined);
    assert.ok(block !== undefined && block >= network.startBlock);
    await using other = await startAnvil({ log: silentLogger, chainId: 4242 });
    const behindWrong = createChain({ network: { ...network, rpc: [other.rpc, rig.rpc] }, log, clock });
    assert.equal((await behindWrong.account(nobody)).balance, 0n);
    // an answer that is wrong says more than none
    await fails(createChain({ network: { ...network, rpc: [dead, other.rpc] }, log, clock }).account(nobody), "RPC_WRONG_CHAIN");
  });

  test("one whose newest block is older than the network's chain ever lets it become is not believed", async () => {
    const ahead = { nowMs: () => Date.now() + 3_600_000, sleep: systemClock.sleep };
    const network = { ...rig.network, maxHeadAge: 600 };
    const inTime = createChain({ network, log: silentLogger, clock: systemClock });
    await rig.ask("evm_mine");
    assert.equal((await inTime.account(nobody)).balance, 0n);
    const late = createChain({ network, log: silentLogger, clock: ahead });
    const error = await fails(late.account(nobody), "RPC_STALE");
    assert.match(error.hint ?? "", /clock/);
    assert.match(late.status().problem ?? "", /s old/);
  });

  test("what was down and is back is used, without a new chain", async () => {
    await using gate = await startGate(rig.rpc);
    const chain = chainOf(gate.url, rig.network);
    const error = await fails(chain.account(nobody), "RPC_UNREACHABLE");
    assert.doesNotMatch(inspect(error, { depth: 9 }), /secretkey/);
    gate.open = true;
    assert.equal((await chain.account(nobody)).balance, 0n);
    assert.equal(chain.status().reachable, true);
  });

  test("an account that nobody opened is empty, and a chain without a key sends nothing", async () => {
    const chain = chainOf(rig.rpc, rig.network);
    const { balance, line, bond, closeAtMs, owner } = await chain.account(nobody);
    assert.deepEqual([balance, line, bond, closeAtMs, owner], [0n, 0n, 0n, undefined, `0x${"0".repeat(40)}`]);
    await fails(chain.deposit(myst, myst), "IDENTITY_MISSING");
  });
});

describe("chain: deploying a network", (test, { before, after }) => {
  let rig: Rig;
  before(async () => {
    rig = await startRig();
  });
  after(async () => rig[Symbol.asyncDispose]());

  test("on a token that is there, paid for by our own key", async () => {
    const person = await rig.person();
    const network = await deployNetwork({
      rpc: rig.rpc,
      identity: person.identity,
      token: rig.network.token.address,
      name: "mine",
      minBond: 7n,
    });
    assert.deepEqual(network.token, rig.network.token);
    assert.notEqual(network.contract, rig.network.contract);
    assert.notEqual(network.protocolPrefix, rig.network.protocolPrefix);
    assert.match(network.protocolPrefix, /^\/mystnode\/[0-9a-f]{8}$/);
    assert.equal(network.minBond, 7n);
    assert.equal(network.minDeposit, myst);
    assert.equal(network.confirmations, 0);
    // a chain of one's own machine: gas is free there, and a block comes when there is something to put into it
    assert.deepEqual([network.coinPrice, network.maxHeadAge], [0n, undefined]);
    assert.equal((await chainOf(rig.rpc, network).check()).problem, undefined);
    // the contract is not there before its start block
    const before = (await rig.ask("eth_getCode", network.contract, `0x${(network.startBlock - 1).toString(16)}`)) as string;
    assert.equal(before, "0x");
  });

  test("says what is wrong", async () => {
    const { identity } = rig.stranger();
    await fails(deployNetwork({ rpc: rig.rpc, identity }), "INSUFFICIENT_GAS");
    await fails(deployNetwork({ rpc: dead }), "RPC_UNREACHABLE");
    await fails(deployNetwork({ rpc: rig.rpc, token: nobody }), "CONTRACT_MISMATCH");
    await fails(deployNetwork({ rpc: rig.rpc, token: rig.network.contract }), "CONTRACT_MISMATCH");
  });
});
