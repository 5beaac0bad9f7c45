import type { Run } from "./context.ts";
import { networkOf, withNode } from "./hosting.ts";
import { channelsText, walletText } from "./wallet-texts.ts";

export const show: Run<"wallet"> = async (context) => {
  const { out, interrupts } = context;
  await withNode(context, async (api) => {
    const { token } = await networkOf(api);
    const wallet = await api.call("wallet", {}, interrupts.signal);
    out.object(wallet);
    out.print(walletText(wallet, token));
    if (wallet.line === 0n) out.progress("nothing on deposit: exits take promises after 'mystnode wallet deposit'");
  });
};

export const channels: Run<"wallet channels"> = async (context) => {
  const { out, interrupts } = context;
  await withNode(context, async (api) => {
    const { token } = await networkOf(api);
    const found = await api.call("channels", {}, interrupts.signal);
    out.object(found);
    out.print(channelsText(found.channels, token, Date.now()));
  });
};
