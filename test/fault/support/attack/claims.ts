import { larger, smaller } from "../../../../src/lib/bigint.ts";
import { due } from "../../../../src/payments/terms.ts";
import {
  acknowledged,
  counted,
  creditFor,
  type ExitMeter,
  grace,
  lossAllowance,
  newMeter,
  usedBytes,
} from "../../../../src/services/meter.ts";
import { randomOf } from "../../../support/random.ts";
import { prices } from "./door.ts";

/** What a tunnel's exit bills and lets through, whose consumer says what it likes of what has reached it. */
export type Meter = { bill(meter: ExitMeter): bigint; credit(meter: ExitMeter, bought: bigint): bigint };
export const real: Meter = { bill: usedBytes, credit: creditFor };
/** It takes the consumer at its word. */
export const credulous: Meter = {
  bill: ({ received, sent, acknowledged: said }) => received + smaller(said, sent),
  credit: ({ sent, acknowledged: said }, bought) => bought + larger(0n, sent - said),
};

/** `tries` words of consumers, ten each. @returns base units that the most was got for nothing, over the bound of docs/protocol.md */
export function claim({ tries, seed, meter = real }: { tries: number; seed: string; meter?: Meter }): {
  tried: number;
  gainOverBound: bigint;
} {
  const random = randomOf(seed);
  let over = -(1n << 60n);
  let tried = 0;
  while (tried < tries) {
    let state = newMeter;
    let nowMs = random.int(1e6);
    let bought = 0n;
    for (let i = 0; i < 10; i += 1, tried += 1) {
      bought += random.big(24);
      const left = meter.credit(state, bought) - state.received - state.sent;
      const up = left > 0n ? random.big(24) % (left + 1n) : 0n;
      const down = left > up ? random.of([left - up, random.big(22) % (left - up)]) : 0n;
      state = counted(state, { rxBytes: state.received + up, txBytes: state.sent + down });
      nowMs += random.int(2_000);
      const { sent } = state;
      const said = random.of([0n, sent, random.big(63), (sent * BigInt(random.int(100))) / 100n, state.acknowledged]);
      if (random.int(4) > 0) state = acknowledged(state, said, nowMs);
    }
    const carried = state.received + state.sent;
    const loss = (state.sent * lossAllowance) / 100n;
    const unbilled = carried - meter.bill(state) - loss - grace;
    const unpaid = carried - bought - loss;
    over = larger(over, larger(unbilled, unpaid));
  }
  const sign = over < 0n ? -1n : 1n;
  return { tried, gainOverBound: sign * due(prices, { bytes: sign * over, ms: 0 }) };
}
