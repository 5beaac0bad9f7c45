import type { Hex } from "../../../../src/lib/codec.ts";
import { myst } from "../../../chain/rig.ts";
import { until } from "../../../support/until.ts";
import { auditWithin, type Case, controlMs, soonMs } from "./rig.ts";

const beside: Hex = `0x${"70ce".repeat(10)}`;
/** A token that lets nothing out: `transfer` reverts, all else is done by the code that stood there before. */
const frozenCode = `0x5f3560e01c63a9059cbb14603b57365f5f375f5f365f73${beside.slice(2)}5af43d5f5f3e6037573d5ffd5b3d5ff35b5f5ffd`;

/** The token refuses the payment: the contract keeps it, the provider is told, and has it once the token lets go. */
export async function frozen(one: Case, run: number, control = false): Promise<string[]> {
  const { world, provider } = one;
  const token = world.network.token.address;
  const code = await world.ask("eth_getCode", token, "latest");
  const wrong: string[] = [];
  await world.ask("anvil_setCode", beside, code);
  const life = await one.live();
  await one.promise(life, myst / 10n + BigInt(run));
  try {
    await world.ask("anvil_setCode", token, frozenCode);
    life.settler.requestSettle("session end", one.ref);
    await until(() => life.settled.length > 0);
    const [settled] = life.settled;
    if (settled?.credited !== one.promised()) wrong.push(`${settled?.credited} was said to be kept by the contract`);
    if (!life.warnings.some((warning) => warning.includes("keeps it"))) wrong.push("nobody was told");
    const credit = await life.chain.credit(provider.address);
    if (credit !== one.promised()) wrong.push(`the contract keeps ${credit}`);
  } finally {
    await world.ask("anvil_setCode", token, code);
  }
  // without collecting it stays where it is
  if (!control) await life.chain.collect(provider.address);
  const { tokens } = await life.chain.balances(provider.address);
  if (tokens !== one.promised()) wrong.push(`lost: the provider has got ${tokens} of ${one.promised()}`);
  wrong.push(...(await auditWithin(one, life, control ? controlMs : soonMs)));
  await life.end();
  return wrong;
}
