import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Chain } from "../../src/chain/chain.ts";
import { createChain } from "../../src/chain/client.ts";
import { deployNetwork } from "../../src/chain/deploy.ts";
import { startAnvil } from "../../src/devnet/anvil.ts";
import { ask, fund } from "../../src/devnet/funding.ts";
import { createIdentity, type Identity } from "../../src/identity/identity.ts";
import { systemClock } from "../../src/lib/clock.ts";
import type { Hex } from "../../src/lib/codec.ts";
import type { NetworkConfig } from "../../src/lib/network-config.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import { clearingDomain } from "../../src/payments/eip712.ts";
import { channelId, newSalt, signPromise } from "../../src/payments/promise.ts";
import type { Claim } from "../../src/payments/settlement.ts";
import { until } from "../support/until.ts";

export const myst = 10n ** 18n;

export type Person = { identity: Identity; address: Hex; chain: Chain };
export type Rig = AsyncDisposable & {
  rpc: string;
  network: NetworkConfig;
  ask(method: string, ...params: unknown[]): Promise<unknown>;
  /** with gas and `tokens` base units; `over` changes what its chain is told of the network */
  person(tokens?: bigint, over?: Partial<NetworkConfig>): Promise<Person>;
  stranger(): Person;
};

/** A chain of our own with a network on it. */
export async function startRig(options: { confirmations?: number } = {}): Promise<Rig> {
  const anvil = await startAnvil({ log: silentLogger });
  const rpc = anvil.rpc;
  const network = await deployNetwork({ rpc, name: "test", ...options });
  const make = (over: Partial<NetworkConfig> = {}): Person => {
    const identity = createIdentity(Uint8Array.from(randomBytes(32)));
    return { identity, address: identity.address, chain: chainOf(rpc, { ...network, ...over }, identity) };
  };
  return {
    rpc,
    network,
    ask: (method, ...params) => ask(rpc, method, params),
    person: async (tokens = 0n, over = {}) => {
      const person = make(over);
      await fund(rpc, network, person.address, tokens);
      return person;
    },
    stranger: () => make(),
    [Symbol.asyncDispose]: anvil.stop,
  };
}

export const chainOf = (rpc: string, network: NetworkConfig, identity?: Identity): Chain =>
  createChain({ network: { ...network, rpc: [rpc] }, log: silentLogger, clock: systemClock, ...(identity && { identity }) });

export type Gate = AsyncDisposable & { url: string; open: boolean };

/** The same RPC behind a door that can be shut: it then answers 503. The URL ends in what must never be shown. */
export async function startGate(rpc: string): Promise<Gate> {
  const server = createServer(async (request, response) => {
    if (!gate.open) return void response.writeHead(503).end();
    const body = Buffer.concat(await request.toArray());
    const answer = await fetch(rpc, { method: "POST", body, headers: { "content-type": "application/json" } });
    response.writeHead(200, { "content-type": "application/json" }).end(await answer.text());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const gate: Gate = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v2/secretkey`,
    open: false,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
  return gate;
}

/** A promise from the payer to the provider, as a claim. */
export function promised(network: NetworkConfig, payer: Person, provider: Person, cumulative: bigint, salt = newSalt()): Claim {
  const channel = channelId(provider.address, salt);
  const seq = BigInt(Date.now()) << 20n;
  const { signature } = signPromise(clearingDomain(network), payer.identity, { channel, cumulative, total: cumulative, seq });
  return { signer: payer.address, salt, cumulative, total: cumulative, seq, signature };
}

/** Fails unless `work` throws an error of ours with this code. */
export async function fails(
  work: Promise<unknown>,
  code: string,
): Promise<Error & { code: string; hint?: string; meta: Record<string, unknown> }> {
  try {
    await work;
  } catch (error) {
    const found = error as Error & { code: string; meta: Record<string, unknown> };
    if (found.code === code) return found;
    throw new Error(`expected ${code}, got ${found.code}: ${found.message}`, { cause: error });
  }
  throw new Error(`expected ${code}, but it succeeded`);
}

/** Sends as a wallet of its own would, and waits until it is mined. */
export async function sendFrom(rig: Pick<Rig, "ask">, from: Hex, { to, data }: { to: Hex; data: Hex }): Promise<void> {
  await rig.ask("anvil_impersonateAccount", from);
  const hash = await rig.ask("eth_sendTransaction", { from, to, data });
  await until(async () => (await rig.ask("eth_getTransactionReceipt", hash)) !== null);
}
