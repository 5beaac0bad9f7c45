import { randomOf } from "../../../support/random.ts";
import { type Attack, type Cheat, openCheat, type Verdict } from "./cheat.ts";
import { type Door, openDoor } from "./door.ts";
import type { Kind } from "./kinds.ts";

export type Tried = {
  tried: number;
  /** what the exit took, served or acknowledged: a sentence each */
  accepted: string[];
  /** what else did not hold */
  problems: string[];
};

/** An honest payer of a door, and cheats that are at work there side by side, each with one session. */
export type Crowd = AsyncDisposable & { victim: Cheat; cheats(standing: Kind["standing"]): Promise<Cheat[]> };

export function openCrowd(door: Door, victim: Cheat, lanes: number): Crowd {
  const made = new Map<string, Promise<Cheat[]>>();
  const undo = new AsyncDisposableStack();
  const make = async (standing: Kind["standing"]) =>
    Promise.all(
      Array.from({ length: lanes }, async () => {
        const payer = undo.use(await door.payer(standing));
        const cheat = await openCheat(door, payer);
        undo.defer(cheat.lose);
        return cheat;
      }),
    );
  return {
    victim,
    cheats: (standing = "open") => {
      const known = made.get(standing) ?? make(standing);
      made.set(standing, known);
      return known;
    },
    [Symbol.asyncDispose]: () => undo.disposeAsync(),
  };
}

/** in a row */
const mostInVain = 10;

type TryOptions = {
  door: Door;
  crowd: Crowd;
  count: number;
  seed: string;
  signal?: AbortSignal;
  /** one is enough: who was taken in has other accounts from there on */
  untilAccepted?: boolean;
};

/**
 * So many tries of a kind, side by side. What the exit says is one thing, what it then has of promises another: both are looked at.
 */
export async function tryKind(
  { forge, name, standing }: Pick<Kind, "forge" | "name" | "standing">,
  { door, crowd, count, seed, signal, untilAccepted }: TryOptions,
): Promise<Tried> {
  const found: Tried = { tried: 0, accepted: [], problems: [] };
  const cheats = await crowd.cheats(standing);
  const before = await door.held();
  let left = count;
  await Promise.all(
    cheats.map(async (cheat, lane) => {
      const random = randomOf(`${seed}/${lane}`);
      // a machine that is too busy loses connections: what was not made is made again
      let inVain = 0;
      while (left > 0 && inVain < mostInVain && !signal?.aborted && !(untilAccepted && found.accepted.length > 0)) {
        left -= 1;
        const made = await tryOnce(cheat, () => forge(cheat, random, crowd.victim));
        if (made instanceof Error) {
          left += 1;
          inVain += 1;
          if (inVain === mostInVain) found.problems.push(`${name}: ${made.message}`);
          cheat.lose();
          continue;
        }
        inVain = 0;
        const { attack, verdict } = made;
        found.tried += 1;
        const what = `${name}: ${Buffer.from(attack.frame).toString("hex")} on its ${attack.on}`;
        if (verdict === "accepted") found.accepted.push(what);
        if (verdict === "silent") found.problems.push(`no answer to ${what}`);
      }
    }),
  );
  const owed = new Map([...cheats, crowd.victim].flatMap((cheat) => [...cheat.owed()]));
  for (const [channel, { signer, cumulative }] of await door.held()) {
    const was = before.get(channel)?.cumulative ?? 0n;
    const [least, most] = owed.get(channel) ?? [was, was];
    if ((cumulative < least || cumulative > most) && !door.bystanders.has(signer))
      found.accepted.push(`${name}: ${cumulative} is held of ${signer} on ${channel}, ${least} to ${most} was promised`);
  }
  return found;
}

async function tryOnce(cheat: Cheat, forge: () => Attack | Promise<Attack>): Promise<{ attack: Attack; verdict: Verdict } | Error> {
  try {
    const attack = await forge();
    return { attack, verdict: await cheat.attempt(attack) };
  } catch (error) {
    return error as Error;
  }
}

/** The same against an exit without the defence: how many it falls for. */
export async function control(kind: Kind, count: number): Promise<number> {
  await using door = await openDoor(kind.control);
  const victim = await openCheat(door, await door.payer());
  await using crowd = openCrowd(door, victim, 2);
  const { forge, forgeForControl = forge } = kind;
  const { accepted } = await tryKind(
    { ...kind, forge: forgeForControl },
    { door, crowd, count, seed: `${kind.name}/control`, untilAccepted: true },
  );
  return accepted.length;
}
