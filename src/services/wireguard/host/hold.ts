import { createToolSession, type ToolSession } from "../backend/tool-session.ts";
import type { HostPlan } from "../plan/host-plan.ts";

/** A table that the kernel lets nobody but us change (`flags owner`); it goes with us. */
export type Hold = {
  /** In place of the one before. Resolves with whether it stands: kernels before 5.12 have no such tables. */
  set(hold: NonNullable<HostPlan["hold"]>): Promise<boolean>;
  /** whether what was set last still stands; true where it never could */
  stands(): Promise<boolean>;
  close(): void;
};

/** Through an `nft` that stays, since the kernel takes the socket that has made such a table for its owner. */
export function createHold(nft: ToolSession = createToolSession("nft", ["-s", "-t", "-i"])): Hold {
  const isTable = (printed: string) => /^\}\n/m.test(printed);
  let table: string | undefined;
  return {
    set: async (hold) => {
      const name = `table inet ${hold.table}`;
      // a line is a transaction
      const body = hold.body.replaceAll(/([^{\s])\n/g, "$1; ").replaceAll(/\s+/g, " ");
      const anew = `add ${name} { flags owner; }; delete ${name}; ${name} { flags owner; ${body}; }`;
      table = await nft.ask([anew, `list ${name}`], isTable).then(
        () => name,
        () => undefined,
      );
      return table !== undefined;
    },
    stands: async () =>
      table === undefined ||
      nft.ask([`list ${table}`], isTable).then(
        () => true,
        () => false,
      ),
    close: nft.close,
  };
}
