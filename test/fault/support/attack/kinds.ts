import type { ClearingDomain } from "../../../../src/payments/eip712.ts";
import type { Random } from "../../../support/random.ts";
import type { Attack, Cheat } from "./cheat.ts";
import type { DoorSeams, Standing } from "./door.ts";
import { promiseKinds } from "./kinds-promises.ts";
import { proposalKinds } from "./kinds-proposals.ts";

/** One kind of fraud: how each try of it is made, and an exit that would fall for it. */
export type Kind = {
  name: string;
  /** of the cheat's account; default open */
  standing?: Standing;
  /** @param victim an honest payer of the same exit */
  forge(cheat: Cheat, random: Random, victim: Cheat): Attack | Promise<Attack>;
  /** where the exit without the defence can be had by one sort of it only */
  forgeForControl?: Kind["forge"];
  control(domain: ClearingDomain): DoorSeams;
};

export const kinds: readonly Kind[] = [...promiseKinds, ...proposalKinds];
