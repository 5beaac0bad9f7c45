import { setTimeout as wait } from "node:timers/promises";
import { startAnvil } from "../../../../src/devnet/anvil.ts";
import { silentLogger } from "../../../../src/lib/ports.ts";
import { myst } from "../../../chain/rig.ts";
import { type Lie, lies, startLiar } from "./liar.ts";
import { auditWithin, type Case, controlMs, soonMs } from "./rig.ts";

/** what has to be noticed from one's own observation alone; the others are only got over with the help of an honest one */
const refused = { "wrong chain": "RPC_WRONG_CHAIN", "no contract": "CONTRACT_MISSING", "other contract": "CONTRACT_MISMATCH" } as const;
type Refused = keyof typeof refused;
/** after the lies one by one: one after the other, at any moment, while it settles */
const variants = lies.length + 1;
const isRefused = (lie: string): lie is Refused => lie in refused;

/**
 * The first RPC lies, from the start or after it was believed for a while; the second tells the truth, or there is none until
 * the first does: it is paid all the same, once, and what is not believed is said.
 */
export async function lying(one: Case, run: number, control = false): Promise<string[]> {
  const { world } = one;
  if (run % variants === lies.length && !control) return lyingAtRandom(one);
  const lie: Lie = lies[run % variants] ?? "stale head";
  const isLate = Math.floor(run / variants) % 2 === 1 || !isRefused(lie);
  const wrong: string[] = [];
  await using other = await startAnvil({ log: silentLogger });
  await using liar = await startLiar(world.rig.rpc, other.rpc);
  const honest = [world.rig.rpc];
  // believed first: a promise needs a view of the account
  let life = await one.live({ rpc: [liar.url] });
  await one.promise(life, myst / 10n + BigInt(run));
  await world.mine(8);
  if (isLate) {
    await life.end();
    life = await one.live({ rpc: [liar.url, ...(control ? [] : honest)] });
    await life.chain.check();
    await liar.tell(lie);
  } else {
    await life.end();
    await liar.tell(lie);
    life = await one.live({ rpc: [liar.url, ...(control ? [] : honest)] });
  }
  try {
    life.settler.requestSettle("session end", one.ref);
    wrong.push(...(await auditWithin(one, life, control ? controlMs : soonMs)));
    // what is asked now and then only may not have been asked in time
    if (liar.told() === 0 && !(isLate && isRefused(lie))) wrong.push(`it did not lie (${lie})`);
    await life.end();
    if (control) return wrong;
    // alone: nothing that it says is taken in, and it is said why
    if (isRefused(lie)) {
      life = await one.live({ rpc: [liar.url] });
      await one.promise(life, one.promised() + 1000n);
      const status = await life.chain.check();
      if (!status.problem) wrong.push(`nothing is said of an RPC with a lie (${lie})`);
      const code = await life.chain.account(one.payer.address).then(
        () => "none",
        ({ code }) => code as string,
      );
      if (code !== refused[lie]) wrong.push(`${lie}: ${code}, not ${refused[lie]}`);
      await liar.tell(undefined);
      life.settler.requestSettle("session end", one.ref);
      wrong.push(...(await auditWithin(one, life, soonMs)));
    }
    return wrong;
  } finally {
    await life.end();
  }
}

async function lyingAtRandom(one: Case): Promise<string[]> {
  await using other = await startAnvil({ log: silentLogger });
  await using liar = await startLiar(one.world.rig.rpc, other.rpc);
  const life = await one.live({ rpc: [liar.url, one.world.rig.rpc] });
  try {
    await one.promise(life, myst / 10n);
    life.settler.requestSettle("session end", one.ref);
    for (let i = 0; i < 8; i += 1) {
      await liar.tell(lies[Math.floor(Math.random() * lies.length)]);
      await wait(Math.random() * 150);
      if (i === 3 && (await one.promise(life, myst / 8n))) life.settler.requestSettle("session end", one.ref);
    }
    return await auditWithin(one, life, soonMs);
  } finally {
    await life.end();
  }
}
