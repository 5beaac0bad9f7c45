import { keystoreFile, openIdentity } from "../identity/open.ts";
import { isMystError } from "../lib/errors.ts";
import { formatAmount } from "../lib/units.ts";
import type { Run } from "./context.ts";
import { facts } from "./format.ts";
import { chooseNetwork, openNode, passphraseOf } from "./hosting.ts";
import { importIdentity } from "./keys.ts";

/** Makes what a node needs, and says what to do next. Doing it again changes nothing. */
export const init: Run<"init"> = async (context) => {
  const { settings, out, interrupts } = context;
  const { dataDir, passwordFile, importPasswordFile } = settings;
  const network = await chooseNetwork(settings).catch((error) => {
    if (isMystError(error, "NO_NETWORK")) return undefined;
    throw error;
  });
  if (settings.import !== undefined) {
    const from = { file: settings.import, passphraseFile: importPasswordFile, dataDir, ownPassphraseFile: passwordFile };
    await importIdentity(from, interrupts);
  }
  const { identity, created } = await openIdentity(dataDir, passphraseOf(context));
  // opening the node once binds the data directory to its network
  if (network) await (await openNode(context, network)).stop();
  const { peerId: peer, address } = identity;
  const made = created || settings.import !== undefined;
  out.object({ peer, address, created: made, keystore: keystoreFile(dataDir), ...(network && { network: network.name }) });
  out.print(facts({ peer, address, keystore: keystoreFile(dataDir), network: network?.name ?? "none yet" }));
  if (!made) out.progress("this identity was here already");
  if (!network) return out.progress("next: mystnode devnet, or mystnode init --network FILE");
  const least = formatAmount(network.minDeposit, network.token).replace(" ", "").toLowerCase();
  out.progress(`to go out: send ${network.token.symbol} and gas to ${address} on chain ${network.chainId}, then`);
  out.progress(`  mystnode wallet deposit ${least}`);
  out.progress("  mystnode connect");
  out.progress("to sell:   mystnode serve --country CC");
};
