import { setTimeout as wait } from "node:timers/promises";
import { myst } from "../../../chain/rig.ts";
import { until } from "../../../support/until.ts";
import { startRpcLine } from "../rpc-line.ts";
import { auditWithin, type Case, controlMs, nonceOf, pendingIn, soonMs } from "./rig.ts";

const variants = [
  "down before anything is sent",
  "down with a transaction under way",
  "down, and a restart meanwhile",
  "silent with a transaction under way",
  "down, and another answers",
  "down again and again",
] as const;

/** The RPC dies at one point of a settlement or another, and most often comes back: it is paid all the same, and once. */
export async function dead(one: Case, run: number, control = false): Promise<string[]> {
  const { world, provider } = one;
  const variant = variants[run % variants.length] ?? variants[0];
  await using line = await startRpcLine(world.rig.rpc);
  const rpc = variant.endsWith("answers") && !control ? [line.url, world.rig.rpc] : [line.url];
  let life = await one.live({ rpc });
  const nonce = await nonceOf(world, provider.address);
  await one.promise(life, myst / 10n + BigInt(run));
  const away = () => line.become(variant.startsWith("silent") ? "silent" : "down");
  try {
    if (variant === "down again and again" && !control) {
      life.settler.requestSettle("session end", one.ref);
      for (let i = 0; i < 4; i += 1) {
        await wait(Math.random() * 200);
        await line.become(Math.random() < 0.7 ? "down" : "silent");
        await wait(Math.random() * 200);
        await line.become("up");
      }
      return await auditWithin(one, life, soonMs);
    }
    if (variant.includes("under way")) world.hold(true);
    else await away();
    life.settler.requestSettle("session end", one.ref);
    if (variant.includes("under way")) {
      await until(() => pendingIn(world, provider.address));
      await away();
      world.hold(false);
      await until(async () => (await nonceOf(world, provider.address)) > nonce);
    } else await wait(200);
    if (variant.endsWith("answers")) return await auditWithin(one, life, control ? controlMs : soonMs);
    if (variant.endsWith("meanwhile")) {
      await life.end();
      life = await one.live({ rpc });
    }
    await wait(300);
    // what would be lost: a settler that gives up when the RPC does
    if (control) await life.end();
    await line.become("up");
    return await auditWithin(one, life, control ? controlMs : soonMs);
  } finally {
    world.hold(false);
    // nobody waits for what is cut
    await life.end();
  }
}
