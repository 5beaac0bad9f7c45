import { closeSync, readFileSync, writeSync } from "node:fs";
import { receiveBuffer } from "../../../src/services/wireguard/plan/host-plan.ts";
import { until } from "../../support/until.ts";

const path = `/proc/sys/${receiveBuffer.key}`;
const fd = 9;
/** on the machine itself, where it lives on until nobody holds its other end: then what it has raised is as before, also when we were killed */
const keeper = `trap '' INT TERM HUP; old=$(cat ${path}); while read -r word; do
  case $word in raise) echo ${receiveBuffer.value} >${path};; lower) echo "$old" >${path};; esac; done; echo "$old" >${path}`;

/** What runs a command (its further arguments) with a keeper of the machine's receive buffers at hand; for \`enterNamespaces\`. */
export const withKeeper = ["bash", "-c", `exec ${fd}> >( { ${keeper}; } 2>/dev/null ); exec "$@"`, "bash"];

const now = () => readFileSync(path, "utf8").trim();

export type Keeper = Disposable & {
  /** Does \`work\` with the buffers that our helper gives a tunnel's sockets on a host of its own, where it may: in a network namespace it may not. */
  raised<T>(work: () => Promise<T>): Promise<T>;
  /** whether the machine lets it be raised */
  works(): boolean;
};

/** Inside of what \`withKeeper\` has run. */
export function receiveBuffers(): Keeper {
  const old = now();
  let works = true;
  const say = async (word: "raise" | "lower", wanted: string) => {
    writeSync(fd, `${word}\n`);
    await until(() => now() === wanted, 2_000);
  };
  return {
    works: () => works,
    raised: async (work) => {
      if (Number(old) >= Number(receiveBuffer.value)) return work();
      await say("raise", receiveBuffer.value).catch(() => {
        works = false;
      });
      try {
        return await work();
      } finally {
        if (works) await say("lower", old);
      }
    },
    [Symbol.dispose]: () => closeSync(fd),
  };
}
