import { myst } from "../../../chain/rig.ts";
import { until } from "../../../support/until.ts";
import { auditWithin, type Case, confirmations, controlMs, type Life, nonceOf, soonMs } from "./rig.ts";

const variants = [
  "before it is final",
  "after it counted",
  "before it is final, and a restart",
  "after it counted, and a restart",
  "again and again",
] as const;
/** blocks: what is undone reaches back to no deposit */
const deepest = 8;

/** The newest blocks are replaced by empty ones, so that what was in them is in no pool any more either. */
async function undo({ world, provider }: Case, nonce: number): Promise<void> {
  world.hold(true);
  try {
    const height = await world.height();
    for (let depth = 1; depth < 60; depth += 1) {
      const block = `0x${(height - depth).toString(16)}`;
      if (Number(await world.rig.ask("eth_getTransactionCount", provider.address, block)) > nonce) continue;
      await world.ask("anvil_reorg", depth, []);
      return;
    }
    throw new Error("the block of the settlement was not found");
  } finally {
    world.hold(false);
  }
}

/** It neither follows events nor looks after what it has settled. */
const unaware = { watch: false, settler: { reviewMs: 600_000 } };

/** At any moment, as deep as it may come, and three times. */
async function againAndAgain(one: Case): Promise<string[]> {
  const { world } = one;
  await world.mine(deepest + confirmations);
  const life = await one.live();
  await one.promise(life, myst / 10n);
  life.settler.requestSettle("session end", one.ref);
  for (let i = 0; i < 3; i += 1) {
    await new Promise((done) => setTimeout(done, Math.random() * 400));
    await world.ask("anvil_reorg", 1 + Math.floor(Math.random() * deepest), []);
  }
  // what was there for a moment may be undone yet
  await new Promise((done) => setTimeout(done, 500));
  return auditWithin(one, life, soonMs);
}

/** A settlement's block is undone by a reorganisation, deeper than what counts as final too: it is paid all the same, and once. */
export async function reorg(one: Case, run: number, control = false): Promise<string[]> {
  const { world, provider } = one;
  const variant = variants[run % variants.length] ?? variants[0];
  if (variant === "again and again" && !control) return againAndAgain(one);
  const isDeep = variant.startsWith("after");
  const restarts = variant.endsWith("restart");
  let life: Life = await one.live(control && isDeep ? unaware : {});
  // the poller has its cursor before what is undone
  await world.mine(confirmations + 2);
  const nonce = await nonceOf(world, provider.address);
  await one.promise(life, myst / 10n + BigInt(run));
  life.settler.requestSettle("session end", one.ref);
  if (isDeep) {
    await until(() => life.settled.length > 0);
    // and read what it brought
    await new Promise((done) => setTimeout(done, 200));
  } else await until(async () => (await nonceOf(world, provider.address)) > nonce);
  if (restarts || (control && !isDeep)) await life.end();
  await undo(one, nonce);
  if (restarts && !control) life = await one.live();
  return auditWithin(one, control && !isDeep ? undefined : life, control ? controlMs : soonMs);
}
