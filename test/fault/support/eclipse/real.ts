import { randomBytes } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { createIdentity } from "../../../../src/identity/identity.ts";
import { ownTmpdir } from "../../../support/own-tmpdir.ts";
import { addressOf } from "../../../support/simulation/net.ts";
import { grindIdentities } from "./grinding.ts";
import { country, type Place, startPeers, whereOf } from "./real-peers.ts";
import type { Attack, EclipseTried } from "./simulated.ts";

const perProcess = 10;

const chunks = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size));

/** The same with real peers in processes of their own. To be called in a network namespace, after `takeAddresses`. */
export async function runRealEclipse(
  attack: Attack & { settleMs: number },
  signal: AbortSignal,
  log: (line: string) => void,
): Promise<EclipseTried[]> {
  await using stack = new AsyncDisposableStack();
  stack.use(ownTmpdir("eclipse"));
  const inviteOf = (place: Place) => `${whereOf(place)}/p2p/${createIdentity(place.key).peerId}`;
  const { bonded: areBonded, settleMs } = attack;
  const honest = Array.from(
    { length: attack.honest },
    (_, at): Place => ({ key: Uint8Array.from(randomBytes(32)), ip: addressOf(at), isExit: at > 0 && at <= attack.exits }),
  );
  const addresses = honest.map(({ key }) => createIdentity(key).address);
  const ground = grindIdentities(attack.sybils, country, Date.now(), attack.grind);
  const sybils = Array.from(
    { length: attack.sybils },
    (_, at): Place => ({
      key: ground[at]?.libp2pKey.raw ?? Uint8Array.from(randomBytes(32)),
      ip: addressOf(20_000 + at, attack.spread ? undefined : 1),
    }),
  );
  const boot = honest[0] as Place;
  const invites = [...(attack.allBootstrapsBad ? [sybils[2] as Place] : [boot]), ...sybils.slice(0, 2)].map(inviteOf);
  const start = (places: Place[], bootstrap: string[], more: { sybils?: Place[] } = {}) => {
    const group = stack.use(startPeers());
    return group.ask({ type: "start", places, bootstrap, honest: addresses, areBonded, ...more }).then(() => group);
  };
  for (const some of chunks(sybils, perProcess)) await start(some, honest.map(inviteOf), { sybils });
  log(`${sybils.length} real Sybils are there`);
  await start([boot], []);
  for (const some of chunks(honest.slice(1), perProcess)) await start(some, [inviteOf(boot), ...sybils.slice(0, 2).map(inviteOf)]);
  await wait(settleMs, undefined, { signal }).catch(() => undefined);
  log(`${honest.length} honest peers are there`);
  const tried: EclipseTried[] = [];
  for (let at = 0; at < attack.tries && !signal.aborted; at++) {
    const consumer: Place = { key: Uint8Array.from(randomBytes(32)), ip: addressOf(10_000 + at), isConsumer: true };
    const bootstrap = invites.toSorted(() => Math.random() - 0.5);
    await using group = startPeers();
    await group.ask({ type: "start", places: [consumer], bootstrap, honest: addresses, areBonded });
    tried.push(await group.ask({ type: "search" }));
  }
  return tried;
}
