import { setTimeout as wait } from "node:timers/promises";
import { myst } from "../../../chain/rig.ts";
import { until } from "../../../support/until.ts";
import { startRpcLine } from "../rpc-line.ts";
import { auditWithin, bond, type Case, controlMs, deposit, soonMs } from "./rig.ts";

const variants = [
  "during a session",
  "while the provider is away",
  "while the RPC is away",
  "between two promises",
  "undone by a reorganisation, and made again",
] as const;
/** of the 72 hours that a close takes */
const awayHours = 48;

/**
 * A payer closes its account with promises out, and takes its money three days later: by then the provider has been paid. A
 * provider that could be there answers within a day.
 */
export async function close(one: Case, run: number, control = false): Promise<string[]> {
  const { world, payer } = one;
  const variant = variants[run % variants.length] ?? variants[0];
  const wrong: string[] = [];
  await using line = await startRpcLine(world.rig.rpc);
  const rpc = [line.url];
  const watch = !control;
  // in a session: what is owed stays under what would be cleared by itself
  let life = await one.live({ rpc, watch });
  const use = async (cumulative: bigint) => {
    const taken = await one.promise(life, cumulative);
    if (taken) life.settler.consider(one.ref);
    return taken;
  };
  try {
    await use(myst / 10n + BigInt(run));
    if (variant === "while the provider is away" || (control && variant === "while the RPC is away")) await life.end();
    if (variant === "while the RPC is away") await line.become("down");
    const closed = payer.chain.close();
    if (variant === "between two promises") await use(myst / 8n + BigInt(run));
    let { closeAtMs, hash } = await closed;
    if (variant.startsWith("undone") && !control) {
      await wait(Math.random() * 300);
      world.hold(true);
      const { blockNumber } = (await world.ask("eth_getTransactionReceipt", hash)) as { blockNumber: string };
      await world.ask("anvil_reorg", (await world.height()) - Number(blockNumber) + 1, []);
      world.hold(false);
      ({ closeAtMs, hash } = await payer.chain.close());
    }
    if (variant.endsWith("away")) await world.pass(awayHours);
    await line.become("up");
    if (variant === "while the provider is away" && !control) life = await one.live({ rpc });
    wrong.push(...(await auditWithin(one, control ? undefined : life, control ? controlMs : soonMs)));
    if (!control) {
      const by = variant.endsWith("away") ? closeAtMs : closeAtMs - awayHours * 3_600_000;
      if (world.clock.nowMs() > by) wrong.push("a deadline was missed");
      if (await use(myst)) wrong.push("a promise was taken of a payer that has closed");
      // it is judged once a second
      await until(() => !life.settler.overdue(), soonMs).catch(() => wrong.push("something is overdue still"));
    }
    await world.pass(73);
    const { withdrawn } = await payer.chain.withdraw();
    if (!control && withdrawn !== deposit + bond - one.promised()) wrong.push(`the payer has got ${withdrawn}`);
    if (control) wrong.push(...(await auditWithin(one, undefined, 0)));
    return [...new Set(wrong)];
  } finally {
    await life.end();
  }
}
