import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../../src/lib/clock.ts";
import { openStore } from "../../../../src/lib/store.ts";
import { openPayerLedger } from "../../../../src/payments/payer-ledger.ts";
import { openProviderLedger } from "../../../../src/payments/provider-ledger.ts";
import { auditHistory, type Observation } from "../../../support/ledger-audit.ts";
import { passOff } from "../../../support/store-copies.ts";
import { account, domain, payer, provider } from "../../../unit/payments/fixtures.ts";
import { lostSilently, refusal } from "./judge.ts";

const clock = systemClock;
const line = 1_000_000n;

/**
 * What the row would see of ledgers that are brought back from an older state with nothing to tell it: a payer that signs on, with nobody
 * asked before, and an exit that says nothing; and of a node that ends without saying why.
 */
export async function seenWithoutDefences(): Promise<Record<string, string[]>> {
  const directory = await mkdtemp(join(tmpdir(), "mystnode-disk-"));
  const [now, before] = [join(directory, "now"), join(directory, "before")];
  const history: Observation[] = [];
  /** One life of both ledgers, in which as much is promised in all. */
  const live = async (dataDir: string, cumulative: bigint): Promise<bigint> => {
    await using store = await openStore(dataDir);
    if (store.doubt()) throw new Error("it passes for what it is");
    const paying = await openPayerLedger({ store, identity: payer, clock }, domain);
    await paying.begin();
    const known = paying.channels()[0] ?? (await paying.channelWith({ address: provider.address, peer: provider.peerId }));
    const promise = await paying.promise({ channel: known.channel, cumulative, consumed: 0n, line });
    const paid = await openProviderLedger({ store, self: provider.address, clock }, domain);
    await paid.rememberAccount(payer.address, account({ readAtMs: clock.nowMs() }));
    if (!promise) throw new Error("nothing was promised");
    history.push({ where: "signed", signer: payer.address, ...promise });
    const offer = { signer: payer.address, peer: payer.peerId, salt: known.salt, promise, consumed: 0n };
    const { accepted } = await paid.accept(offer, { chainReachable: true, limits: { maxUnsettled: line, minBond: 0n } });
    if (!accepted) throw new Error("it was not accepted");
    return paid.channels()[0]?.cumulative ?? 0n;
  };
  const heldIn = async (dataDir: string): Promise<bigint> => {
    await using store = await openStore(dataDir);
    const ledger = await openProviderLedger({ store, self: provider.address, clock }, domain);
    return ledger.channels()[0]?.cumulative ?? 0n;
  };
  try {
    await live(now, 100n);
    await cp(now, before, { recursive: true });
    const acknowledged = await live(now, 300n);
    await passOff(join(before, "db"));
    const held = await heldIn(before);
    await live(before, 200n);
    return {
      "signs below what it has signed": auditHistory(history).map(({ text }) => text),
      "has lost what it has acknowledged": lostSilently(acknowledged, held, ""),
      "ends without a word": refusal({ status: "SIGABRT", said: "node: table_builder.cc:97: Assertion `key > last' failed." }),
      "tells a stack": refusal({ status: 1, said: "Error: Corruption\n    at open (store.ts:12:3)\n" }),
    };
  } finally {
    await rm(directory, { recursive: true });
  }
}
