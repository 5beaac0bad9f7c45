import { randomBytes } from "node:crypto";
import { signHandover } from "../../../../src/identity/handover.ts";
import { createIdentity } from "../../../../src/identity/identity.ts";
import type { Hex } from "../../../../src/lib/codec.ts";
import type { NetworkConfig } from "../../../../src/lib/network-config.ts";
import { encodeEvidence, readHead, shards, shardTopic } from "../../../../src/payments/heads/head.ts";
import { epochOf } from "../../../../src/reputation/epoch.ts";
import { encodeFork, encodePair } from "../../../../src/reputation/record.ts";
import { associationCodec } from "../../../../src/services/proxy/protocol.ts";
import { toProviderCodec } from "../../../../src/session/messages.ts";
import { recordOf, signedBy } from "../../../unit/reputation/fixtures.ts";
import { sample, samplesOf } from "./recording.ts";

/** What nobody says in a short life: each once, as its parts would sign it. */
export function addSamples({ network, exit }: { network: NetworkConfig; exit: Hex }): void {
  const domain = { chainId: network.chainId, contract: network.contract };
  const identity = () => createIdentity(randomBytes(32));
  const handover = signHandover(identity(), identity(), domain, Date.now());
  for (const name of ["topic handovers", "question handover/1.0.0"]) sample(name, handover);

  const payer = identity();
  const change = { provider: exit, epoch: epochOf(Date.now()), seq: Date.now() };
  const [a, b] = [signedBy(payer, change, domain), signedBy(payer, { ...change, sessions: recordOf(payer).sessions + 1 }, domain)];
  sample("topic records", encodePair(a));
  sample("topic forks", encodeFork({ a, b }));

  const heads = Array.from({ length: shards }, (_, shard) => `topic ${shardTopic(shard)}`);
  const told = heads.flatMap(samplesOf);
  for (const name of heads) for (const bytes of told) sample(name, bytes);
  const [head] = told.map(readHead);
  if (head) {
    const other = { ...head.promise, cumulative: head.promise.cumulative + 1n };
    sample("topic evidence", encodeEvidence({ signer: head.signer, promises: [head.promise, other] }));
  }
  const usage = { bytes: 1_000_000n, ms: 5_000 };
  for (const message of [
    { t: "promise" as const, n: 1, bought: usage, ...(head && { promise: head.promise }) },
    { t: "received" as const, bytes: 1_000n },
  ])
    sample("frames session/1.0.0", toProviderCodec.encode(message));
  sample("frames proxy-datagrams/1.0.0", associationCodec.encode({ session: randomBytes(16), id: 1 }));
}
