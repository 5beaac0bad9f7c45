import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Chain, Sending, Sent } from "../../../src/chain/chain.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import type { Hex } from "../../../src/lib/codec.ts";
import type { NetworkConfig } from "../../../src/lib/network-config.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import { openStore } from "../../../src/lib/store.ts";
import { createWallet, type WalletDeps } from "../../../src/node/wallet.ts";
import { describe } from "../../support/harness.ts";
import { ownTmpdir } from "../../support/own-tmpdir.ts";

const other: Hex = `0x${"b2".repeat(20)}`;
const hashOf = (count: number): Hex => `0x${count.toString(16).padStart(64, "0")}`;

describe("node/wallet: who goes away just as it is mined", (test) => {
  test("is not told, asks again with the same words, and gets that one; the time after is another", async () => {
    await using _ = ownTmpdir("wallet-left");
    await using store = await openStore(join(tmpdir(), "store"));
    let sent = 0;
    let onMined: () => void = () => undefined;
    const chain = {
      account: async () => ({ bond: 0n }),
      deposit: async (_: bigint, __: bigint, ___: unknown, sending: Sending) => {
        sent += 1;
        const out: Sent = { step: "deposit", nonce: sent, hash: hashOf(sent), raw: "0x01", earlier: [] };
        await sending.onPrepared?.(out);
        onMined();
        return { hash: out.hash };
      },
      finish: async ({ hash }: Sent) => ({ hash }),
    };
    const deps: Partial<WalletDeps> = {
      ...{ store, clock: systemClock, log: silentLogger, signal: new AbortController().signal },
      chain: chain as unknown as Chain,
      network: { chainId: 1, contract: other, minBond: 0n } as unknown as NetworkConfig,
      identity: { address: `0x${"a1".repeat(20)}`, sign: async () => "0x" } as unknown as WalletDeps["identity"],
    };
    const wallet = createWallet(deps as WalletDeps);
    const deposit = (signal?: AbortSignal) => wallet.deposit(5n, 0n, { signer: other, consent: "0x", ...(signal && { signal }) });

    const leaving = new AbortController();
    onMined = () => leaving.abort();
    assert.equal((await deposit(leaving.signal)).hash, hashOf(1));
    assert.equal((await deposit()).hash, hashOf(1));
    assert.equal((await deposit()).hash, hashOf(2));
    assert.equal(sent, 2);
  });
});
