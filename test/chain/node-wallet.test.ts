import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fund } from "../../src/devnet/funding.ts";
import { openIdentity } from "../../src/identity/open.ts";
import { systemClock } from "../../src/lib/clock.ts";
import type { Hex } from "../../src/lib/codec.ts";
import { isMystError } from "../../src/lib/errors.ts";
import type { NetworkConfig } from "../../src/lib/network-config.ts";
import { openStore } from "../../src/lib/store.ts";
import { createNode, type Node, type SentView } from "../../src/node.ts";
import { clearingDomain } from "../../src/payments/eip712.ts";
import { channelId } from "../../src/payments/promise.ts";
import { openProviderLedger } from "../../src/payments/provider-ledger.ts";
import { describe } from "../support/harness.ts";
import { frozenToken } from "./frozen-token.ts";
import { fails, myst, promised, type Rig, sendFrom, startRig } from "./rig.ts";

/** Nodes of one data directory, one after another, as commands without a running node are. */
describe("chain: a node's wallet", (test, { before, after }) => {
  let rig: Rig;
  const directories: string[] = [];
  before(async () => {
    rig = await startRig();
  });
  after(async () => {
    await rig[Symbol.asyncDispose]();
    for (const directory of directories) await rm(directory, { recursive: true });
  });
  const place = async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "mystnode-wallet-"));
    directories.push(dataDir);
    const open = () => createNode({ dataDir, network: { ...rig.network, rpc: [rig.rpc] } });
    return { open };
  };
  /** a node with tokens, and a way to open it again */
  const funded = async () => {
    const { open } = await place();
    const node = await open();
    await fund(rig.rpc, rig.network, node.address, 10n * myst);
    return { open, node };
  };
  /** what waits is mined with it, too */
  const mine = (on: boolean) => rig.ask("evm_setAutomine", on);
  /** begins a deposit that nobody mines, goes away once it is out, and leaves the chain standing still */
  const left = async (node: Node, amount: bigint): Promise<SentView> => {
    const leaving = new AbortController();
    let sent: SentView | undefined;
    const onSent = (view: SentView) => {
      sent = view;
      setTimeout(() => leaving.abort(), 300);
    };
    await mine(false);
    await fails(node.wallet.deposit(amount, myst, { onSent, signal: leaving.signal }), "INTERRUPTED");
    assert.equal((await node.wallet.account()).line, 0n);
    assert.ok(sent);
    return sent;
  };

  test("one that was left in the middle is gone on with, and not sent twice", async () => {
    const { open, node } = await funded();
    const out = await left(node, 2n * myst);
    assert.deepEqual((await node.wallet.show()).unfinished, { what: "deposit", hash: out.hash });
    await node.stop();

    await using next = await open();
    const told: SentView[] = [];
    const { hash } = await next.wallet.deposit(2n * myst, myst, {
      onSent: (sent) => {
        told.push(sent);
        setTimeout(() => mine(true), 200);
      },
    });
    assert.equal(hash, out.hash);
    assert.deepEqual(told[0], { what: "deposit", hash, again: true });
    const { line, bond, unfinished, owner, tokens } = await next.wallet.show();
    assert.deepEqual([line, bond, unfinished, owner, tokens], [2n * myst, myst, undefined, next.address, 7n * myst]);
    await next.wallet.deposit(2n * myst, 0n);
    assert.equal((await next.wallet.show()).line, 4n * myst, "done, so the next one is another");
  });

  test("another wish waits for it, and comes on top", async () => {
    const { open, node } = await funded();
    await left(node, 2n * myst);
    await node.stop();
    await using next = await open();
    await mine(true);
    await next.wallet.deposit(myst, 0n);
    assert.equal((await next.wallet.show()).line, 3n * myst);
  });

  test("what can never be mined any more is done anew", async () => {
    const { open, node } = await funded();
    const out = await left(node, 2n * myst);
    await node.stop();
    await rig.ask("anvil_dropTransaction", out.hash);
    await rig.ask("anvil_setNonce", node.address, "0x5");
    await mine(true);
    await using next = await open();
    const { hash } = await next.wallet.deposit(2n * myst, myst);
    assert.notEqual(hash, out.hash);
    assert.equal((await next.wallet.show()).line, 2n * myst);
  });

  test("two at once are one after another, in either order", async () => {
    const { node } = await funded();
    await using _ = node;
    await Promise.all([node.wallet.deposit(2n * myst, myst), node.wallet.deposit(3n * myst, myst)]);
    const { line, bond } = await node.wallet.show();
    assert.deepEqual([line, bond], [5n * myst, 2n * myst]);
  });

  test("closes for good, says when, and takes everything out to where it is told", async () => {
    const { node } = await funded();
    await using _ = node;
    await fails(node.wallet.close(), "NO_DEPOSIT");
    await node.wallet.deposit(2n * myst, myst);
    await fails(node.wallet.withdraw(), "ACCOUNT_OPEN");
    const { closeAtMs } = await node.wallet.close();
    assert.equal((await node.wallet.show()).closeAtMs, closeAtMs);
    await fails(node.wallet.close(), "ACCOUNT_CLOSING");
    const early = await fails(node.wallet.withdraw(), "ACCOUNT_CLOSING");
    assert.match(early.hint ?? "", /from \d{4}-\d\d-\d\d \d\d:\d\d UTC on/);
    await rig.ask("evm_increaseTime", 3 * 86_400);
    await rig.ask("evm_mine");
    const to = rig.stranger().address;
    assert.equal((await node.wallet.withdraw({ to })).withdrawn, 3n * myst);
    assert.equal((await rig.stranger().chain.balances(to)).tokens, 3n * myst);
    await fails(node.wallet.withdraw({ to }), "NO_DEPOSIT");
  });

  test("a wallet elsewhere opens its account, and alone may close it", async () => {
    const { node } = await funded();
    await using _ = node;
    const owner = await rig.person(10n * myst);
    const send = async (request: Parameters<Node["wallet"]["outside"]>[0]) => {
      const view = await node.wallet.outside(request);
      for (const transaction of view.transactions) await sendFrom(rig, owner.address, transaction);
      return view;
    };
    await fails(node.wallet.outside({ action: "close" }), "NO_DEPOSIT");
    await fails(node.wallet.outside({ action: "deposit", owner: owner.address, amount: 1n, bond: myst }), "DEPOSIT_TOO_SMALL");
    const { tokens } = await send({ action: "deposit", owner: owner.address, amount: 2n * myst, bond: myst });
    assert.equal(tokens, 10n * myst);
    assert.equal((await node.wallet.show()).owner, owner.address);
    await fails(node.wallet.deposit(myst, 0n), "NOT_OWNER");
    await fails(node.wallet.close(), "NOT_OWNER");
    await fails(node.wallet.outside({ action: "deposit", owner: node.address, amount: myst }), "NOT_OWNER");
    await fails(node.wallet.outside({ action: "withdraw" }), "ACCOUNT_OPEN");
    await send({ action: "deposit", amount: myst });
    assert.equal((await node.wallet.account()).line, 3n * myst);
    await send({ action: "close" });
    assert.equal((await node.wallet.outside({ action: "withdraw" })).closeAtMs, (await node.wallet.account()).closeAtMs);
    await fails(node.wallet.outside({ action: "close" }), "ACCOUNT_CLOSING");
    await rig.ask("evm_increaseTime", 3 * 86_400);
    await send({ action: "withdraw" });
    assert.equal((await owner.chain.balances(owner.address)).tokens, 10n * myst);
  });

  test("another node's account is paid for with its consent, and closed by its owner", async () => {
    const { node: owner } = await funded();
    await using _ = owner;
    await using signer = await (await place()).open();
    const account = { signer: signer.address };
    await fails(owner.wallet.deposit(myst, myst, account), "BAD_SIGNATURE");
    const { consent } = await signer.wallet.consent(owner.address);
    await owner.wallet.deposit(myst, myst, { ...account, consent });
    await owner.wallet.deposit(myst, 0n, account);
    assert.equal((await signer.wallet.show()).deposit, 2n * myst);
    assert.equal((await owner.wallet.account(signer.address)).owner, owner.address);
    await owner.wallet.close(account);
    assert.notEqual((await signer.wallet.show()).closeAtMs, undefined);
  });

  test("clears what is worth its gas, and the dust when told to; says what was paid, and what was left", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "mystnode-wallet-"));
    directories.push(dataDir);
    // a coin is worth a token: so gas costs something
    const network = { ...rig.network, rpc: [rig.rpc], coinPrice: myst };
    const promise = await owedBy(dataDir, network, [myst / 20n, 1_000n]);
    await using node = await createNode({ dataDir, network });
    await fund(rig.rpc, rig.network, node.address, 0n);
    assert.equal((await node.wallet.show()).unsettled, myst / 20n + 1_000n);
    const first = await node.wallet.settle();
    assert.deepEqual([first.claims, first.paid, first.left, first.collected], [1, myst / 20n, 1_000n, 0n]);
    assert.deepEqual(
      first.settled.map(({ channel, paid, hash, peer }) => ({ channel, paid, hash, peer })),
      [{ channel: promise[0], paid: myst / 20n, hash: first.hash, peer: "a peer" }],
    );
    const second = await node.wallet.settle();
    assert.deepEqual([second.claims, second.left, second.settled], [0, 1_000n, []]);
    const third = await node.wallet.settle({ all: true });
    assert.deepEqual([third.claims, third.paid, third.left], [1, 1_000n, 0n]);
    const { unsettled, tokens } = await node.wallet.show();
    assert.deepEqual([unsettled, tokens], [0n, myst / 20n + 1_000n]);
    assert.deepEqual(
      (await node.wallet.channels()).map(({ role, state, unsettled: left }) => [role, state, left]),
      [
        ["provider", "cleared", 0n],
        ["provider", "cleared", 0n],
      ],
    );
  });

  test("a token that lets nothing out leaves money with the contract: cleared all the same, said so, and collected later", async () => {
    const token = await frozenToken(rig);
    const dataDir = await mkdtemp(join(tmpdir(), "mystnode-wallet-"));
    directories.push(dataDir);
    const network = { ...rig.network, rpc: [rig.rpc] };
    await owedBy(dataDir, network, [myst / 20n]);
    await using node = await createNode({ dataDir, network });
    await fund(rig.rpc, rig.network, node.address, 10n * myst);
    await node.wallet.deposit(2n * myst);
    await node.wallet.close();
    await rig.ask("evm_increaseTime", 3 * 86_400);
    await rig.ask("evm_mine");
    await token.freeze();
    const first = await node.wallet.settle({ all: true });
    assert.deepEqual([first.claims, first.paid, first.collected, first.kept], [1, myst / 20n, 0n, myst / 20n]);
    const { withdrawn, credited } = await node.wallet.withdraw();
    assert.deepEqual([withdrawn, credited], [3n * myst, 3n * myst]);
    assert.equal((await node.wallet.show()).credit, 3n * myst + myst / 20n);
    await token.thaw();
    const { collected, kept } = await node.wallet.settle();
    assert.deepEqual([collected, kept], [3n * myst + myst / 20n, 0n]);
  });

  /** Promises of payers of their own, in the ledger of a node that does not run. @returns their channels */
  const owedBy = async (dataDir: string, network: NetworkConfig, amounts: bigint[]): Promise<Hex[]> => {
    const { identity: provider } = await openIdentity(dataDir);
    await using store = await openStore(dataDir);
    const ledger = await openProviderLedger({ store, self: provider.address, clock: systemClock }, clearingDomain(network));
    const channels: Hex[] = [];
    for (const cumulative of amounts) {
      const payer = await rig.person(10n * myst);
      await payer.chain.deposit(2n * myst, myst);
      await ledger.rememberAccount(payer.address, await payer.chain.account(payer.address));
      const { signer, salt, ...claim } = promised(rig.network, payer, { ...payer, address: provider.address }, cumulative);
      const promise = { ...claim, channel: channelId(provider.address, salt) };
      const conditions = { chainReachable: true, limits: { maxUnsettled: myst, minBond: 1n } };
      const { accepted } = await ledger.accept({ signer, peer: "a peer", salt, promise, consumed: 0n }, conditions);
      assert.ok(accepted);
      channels.push(promise.channel);
    }
    return channels;
  };

  test("nothing is given up or sent while no RPC answers", async () => {
    const { open } = await place();
    const node = await open();
    await fund(rig.rpc, rig.network, node.address, 10n * myst);
    const out = await left(node, 2n * myst);
    await node.stop();
    await using blind = await createNode({
      dataDir: directories.at(-1) as string,
      network: { ...rig.network, rpc: ["http://127.0.0.1:9"] },
    });
    const error = await blind.wallet.deposit(2n * myst, myst).catch((thrown) => thrown);
    assert.ok(isMystError(error, "RPC_UNREACHABLE"), String(error));
    await blind.stop();
    await using again = await open();
    await mine(true);
    assert.equal((await again.wallet.show()).unfinished?.hash, out.hash);
    assert.equal((await again.wallet.deposit(2n * myst, myst)).hash, out.hash);
  });
});
