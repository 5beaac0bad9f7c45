import type { Chain } from "../chain/chain.ts";
import { createChain } from "../chain/client.ts";
import type { Identity } from "../identity/identity.ts";
import { openRetired, retiredAddresses } from "../identity/retiring.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import type { Logger } from "../lib/ports.ts";
import type { NodeOptions } from "./types.ts";

/** Keys that this data directory has used before: what they own is still to be taken out. They sign no promises. */
export type RetiredKeys = {
  list(): Promise<Hex[]>;
  /** @throws IDENTITY_MISSING, PASSPHRASE_WRONG, PASSPHRASE_MISSING */
  open(address: Hex): Promise<{ identity: Identity; chain: Chain }>;
};

type Options = Pick<NodeOptions, "dataDir" | "passphrase" | "network" | "rpc">;

export const retiredKeys = (
  { dataDir, passphrase = {}, network, rpc }: Options,
  { log, clock }: { log: Logger; clock: Clock },
): RetiredKeys => ({
  list: () => retiredAddresses(dataDir),
  open: async (address) => {
    const identity = await openRetired(dataDir, passphrase, address);
    return { identity, chain: createChain({ network, identity, log: log.child("chain"), clock, ...(rpc !== undefined && { rpc }) }) };
  },
});
