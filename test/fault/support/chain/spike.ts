import { setTimeout as wait } from "node:timers/promises";
import { myst } from "../../../chain/rig.ts";
import { until } from "../../../support/until.ts";
import { auditWithin, type Case, controlMs, nonceOf, openWorld, pendingIn, soonMs, type World } from "./rig.ts";

const gwei = 10n ** 9n;
const usual = gwei;
/** a claim of 0.1 at about 60,000 gas is worth about 80 gwei at 5 %, and 1,600 at all */
const moderate = 15n * gwei;
const dear = 400n * gwei;
const variants = [
  "dear for a while",
  "dear while it waits in a pool",
  "dear while it waits, and a restart",
  "dear until after the deadline of a close",
  "another price with each moment",
] as const;

/** A coin is worth a token here: gas is not free. */
export const world = (): Promise<World> => openWorld({ coinPrice: myst });

/** Gas becomes dear: nothing is overpaid while there is time, what waits in a pool is replaced, and a deadline is kept at a higher price. */
export async function spike(one: Case, run: number, control = false): Promise<string[]> {
  const { world, provider, payer } = one;
  const variant = variants[run % variants.length] ?? variants[0];
  const wrong: string[] = [];
  world.price(usual);
  // never raised: what a settler without replacement would do
  const settler = control ? { stuckMs: 600_000 } : {};
  let life = await one.live({ settler });
  await one.promise(life, myst / 10n + BigInt(run));
  const nonce = await nonceOf(world, provider.address);
  const gasBefore = await gasOf(one);
  try {
    if (variant === "dear for a while") {
      world.price(dear);
      await world.mine(2);
      life.settler.requestSettle("session end", one.ref);
      await wait(500);
      if ((await nonceOf(world, provider.address)) > nonce || (await pendingIn(world, provider.address))) wrong.push("it overpays");
      if (control) return [...wrong, ...(await auditWithin(one, life, controlMs))];
      world.price(usual);
      wrong.push(...(await auditWithin(one, life, soonMs)));
    } else if (variant === "another price with each moment") {
      life.settler.requestSettle("session end", one.ref);
      for (let i = 0; i < 10; i += 1) {
        world.price(i % 3 === 2 ? dear : 1n + (moderate * BigInt(Math.floor(Math.random() * 1000))) / 500n);
        await wait(Math.random() * 150);
        if (i === 5) {
          await life.end();
          life = await one.live({ settler });
        }
      }
      world.price(usual);
      wrong.push(...(await auditWithin(one, life, soonMs)));
    } else if (variant.startsWith("dear while it waits")) {
      world.hold(true);
      life.settler.requestSettle("session end", one.ref);
      await until(() => pendingIn(world, provider.address));
      world.price(moderate);
      world.hold(false);
      if (variant.endsWith("restart")) {
        await life.end();
        life = await one.live({ settler });
      }
      wrong.push(...(await auditWithin(one, life, control ? controlMs : soonMs)));
      if (!control && (await nonceOf(world, provider.address)) !== nonce + 1) wrong.push("more than one transaction was paid for");
    } else {
      world.price(dear);
      await world.mine(2);
      const closed = payer.chain.close();
      const { closeAtMs } = await closed;
      await until(() => life.ledger.account(payer.address)?.closeAtMs !== undefined);
      await wait(300);
      if ((await nonceOf(world, provider.address)) > nonce || (await pendingIn(world, provider.address)))
        wrong.push("it overpays before it must");
      if (control) {
        await life.end();
        return [...wrong, ...(await auditWithin(one, undefined, controlMs))];
      }
      // the prices of an hour ago are not those of now: what is worth it is judged anew
      for (let hour = 0; hour < 24 && (await nonceOf(world, provider.address)) === nonce; hour += 2) {
        await world.pass(2);
        await wait(400);
      }
      wrong.push(...(await auditWithin(one, life, soonMs)));
      if (world.clock.nowMs() > closeAtMs - 48 * 3_600_000) wrong.push("a deadline was missed");
      // it is judged once a second
      await until(() => !life.settler.overdue(), soonMs).catch(() => wrong.push("something is overdue"));
    }
    const cost = gasBefore - (await gasOf(one));
    if (variant !== "dear until after the deadline of a close" && cost * 20n > one.promised())
      wrong.push(`gas took ${cost} of ${one.promised()}`);
    if (cost > one.promised()) wrong.push(`gas took more than it brought: ${cost}`);
    return wrong;
  } finally {
    world.price(usual);
    world.hold(false);
    await life.end();
  }
}

const gasOf = async ({ provider }: Case): Promise<bigint> => (await provider.chain.balances(provider.address)).gas;
