import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { MystError } from "../lib/errors.ts";
import { coinPriceOf, type NetworkConfig, networkText } from "../lib/network-config.ts";
import { formatAmount } from "../lib/units.ts";
import type { Run } from "./context.ts";
import { facts } from "./format.ts";
import { chooseNetwork, passphraseOf } from "./hosting.ts";

/** The network in use, as its file has it. */
export const show: Run<"network"> = async ({ settings, out }) => {
  const network = await chooseNetwork(settings);
  out.object({ network: JSON.parse(networkText(network)) });
  out.print(facts(networkFacts(network)));
};

const networkFacts = (network: NetworkConfig) => ({
  name: network.name,
  chain: `${network.chainId}`,
  rpc: network.rpc,
  contract: `${network.contract}, since block ${network.startBlock}`,
  token: `${network.token.symbol} ${network.token.address}, ${network.token.decimals} decimals`,
  deposit: `at least ${formatAmount(network.minDeposit, network.token)}`,
  bond: `at least ${formatAmount(network.minBond, network.token)}`,
  exits: network.freeAnnouncers ? "heard also without a bond" : "heard with a bond only",
  gas: coinPriceOf(network) === 0n ? "free" : `weighed at ${formatAmount(coinPriceOf(network), network.token)} for a coin of the chain`,
  bootstrap: network.bootstrap.length > 0 ? network.bootstrap : "none",
  prefix: network.protocolPrefix,
});

/** Deploys the contract, paid for by this node's key, and writes the file by which others join. */
export const create: Run<"network create"> = async (context) => {
  const { settings, out, interrupts } = context;
  const { rpc, token, name, bootstrap, out: file } = settings;
  if (rpc === undefined)
    throw new MystError("USAGE", "a network lives on a chain, and no chain is named", { hint: "add --rpc URL, its JSON-RPC endpoint" });
  if (existsSync(file)) throw new MystError("BAD_VALUE", `--out: ${file} exists already`, { hint: "name another file" });
  const [{ openIdentity }, { deployNetwork }] = await Promise.all([import("../identity/open.ts"), import("../chain/deploy.ts")]);
  const { identity } = await openIdentity(settings.dataDir, passphraseOf(context));
  out.progress(`deploying, paid for by ${identity.address}`);
  const chosen = {
    ...(settings.freeAnnouncers && { freeAnnouncers: true }),
    ...(token !== undefined && { token }),
    ...(name !== undefined && { name }),
  };
  const deployed = await deployNetwork({ rpc, identity, bootstrap, log: await context.log(), signal: interrupts.signal, ...chosen });
  const coinPrice = settings.coinPrice?.(deployed.token);
  const network = { ...deployed, ...(coinPrice !== undefined && { coinPrice }) };
  await writeFile(file, networkText(network), { flag: "wx" }).catch((cause: { code?: string }) => {
    // the contract is there already: what was paid for must not be lost for want of a file
    out.print(networkText(network));
    throw new MystError("BAD_VALUE", `--out: ${file} cannot be written (${cause.code})`, {
      hint: `the contract is deployed, at ${network.contract}: put the text above into a file`,
      cause,
    });
  });
  out.object({ file, network: JSON.parse(networkText(network)) });
  out.print(facts({ ...networkFacts(network), file }));
  out.progress(`next: mystnode serve --network ${file} --country CC, then add its address to "bootstrap" in the file`);
};
