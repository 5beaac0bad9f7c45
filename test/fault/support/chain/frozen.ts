import { frozenToken } from "../../../chain/frozen-token.ts";
import { myst } from "../../../chain/rig.ts";
import { until } from "../../../support/until.ts";
import { auditWithin, type Case, controlMs, soonMs } from "./rig.ts";

/** The token refuses the payment: the contract keeps it, the provider is told, and has it once the token lets go. */
export async function frozen(one: Case, run: number, control = false): Promise<string[]> {
  const { world, provider } = one;
  const token = await frozenToken(world);
  const wrong: string[] = [];
  const life = await one.live();
  await one.promise(life, myst / 10n + BigInt(run));
  try {
    await token.freeze();
    life.settler.requestSettle("session end", one.ref);
    await until(() => life.settled.length > 0);
    const [settled] = life.settled;
    if (settled?.credited !== one.promised()) wrong.push(`${settled?.credited} was said to be kept by the contract`);
    if (!life.warnings.some((warning) => warning.includes("keeps it"))) wrong.push("nobody was told");
    const credit = await life.chain.credit(provider.address);
    if (credit !== one.promised()) wrong.push(`the contract keeps ${credit}`);
  } finally {
    await token.thaw();
  }
  // without collecting it stays where it is
  if (!control) await life.chain.collect(provider.address);
  const { tokens } = await life.chain.balances(provider.address);
  if (tokens !== one.promised()) wrong.push(`lost: the provider has got ${tokens} of ${one.promised()}`);
  wrong.push(...(await auditWithin(one, life, control ? controlMs : soonMs)));
  await life.end();
  return wrong;
}
