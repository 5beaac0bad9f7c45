import type { Hex } from "../../src/lib/codec.ts";
import type { Rig } from "./rig.ts";

const beside: Hex = `0x${"70ce".repeat(10)}`;
/** A token that lets nothing out: `transfer` reverts, all else is done by the code that stood there before. */
const frozenCode = `0x5f3560e01c63a9059cbb14603b57365f5f375f5f365f73${beside.slice(2)}5af43d5f5f3e6037573d5ffd5b3d5ff35b5f5ffd`;

/** The network's token, which can be made to refuse every transfer, and to let go again. */
export async function frozenToken({ ask, network }: Pick<Rig, "ask" | "network">) {
  const { address } = network.token;
  const code = await ask("eth_getCode", address, "latest");
  await ask("anvil_setCode", beside, code);
  return {
    freeze: () => ask("anvil_setCode", address, frozenCode),
    thaw: () => ask("anvil_setCode", address, code),
  };
}
