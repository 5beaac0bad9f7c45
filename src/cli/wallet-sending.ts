import type { ApiClient } from "../api/client.ts";
import { isMystError, MystError } from "../lib/errors.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import type { SentView } from "../node/types.ts";
import type { Context } from "./context.ts";
import { networkOf, withNode } from "./hosting.ts";
import { sentText, verbOf } from "./wallet-texts.ts";

type Money = "wallet deposit" | "wallet close" | "wallet withdraw" | "wallet settle";
type Item<R> = { type: "sent"; sent: SentView } | { type: "done"; result: R };

export type Wallet = {
  api: ApiClient;
  network: NetworkConfig;
  /** Tells what goes out, and gives the result. */
  carry<R>(items: AsyncIterable<Item<R>>): Promise<R>;
};

/** Work on a node's wallet. When it is interrupted with a transaction out, that one is named: it counts, whatever becomes of this process. */
export async function withWallet(context: Context<Money>, use: (wallet: Wallet) => Promise<void>): Promise<void> {
  const { out } = context;
  let last: SentView | undefined;
  try {
    await withNode(context, async (api) => {
      const network = await networkOf(api);
      const carry = async <R>(items: AsyncIterable<Item<R>>): Promise<R> => {
        for await (const item of items) {
          if (item.type === "done") {
            if (last?.again) out.progress(`that was the ${verbOf(last.what)} begun before: for another one, run it again`);
            last = undefined;
            return item.result;
          }
          last = item.sent;
          out.progress(sentText(item.sent, network.confirmations));
          out.progress(`  ${item.sent.hash}`);
        }
        throw new MystError("NODE_UNREACHABLE", "the node's answer ends in the middle");
      };
      await use({ api, network, carry });
    });
  } catch (error) {
    throw isMystError(error, "INTERRUPTED") && last && last.what !== "settle" ? stillOut(last) : error;
  }
}

const stillOut = ({ what, hash }: SentView) =>
  new MystError("INTERRUPTED", `interrupted: the ${verbOf(what)} is on its way, as transaction ${hash}`, {
    hint: "the same command goes on with it and sends no second one; 'mystnode wallet' shows it until it is done",
    meta: { hash },
  });
