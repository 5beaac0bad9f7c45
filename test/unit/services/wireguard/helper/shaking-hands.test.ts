import assert from "node:assert/strict";
import { isMystError } from "../../../../../src/lib/errors.ts";
import { createPatience, shakeHands } from "../../../../../src/services/wireguard/helper/shaking-hands.ts";
import { describe } from "../../../../support/harness.ts";

describe("wireguard helper: shaking hands", (test) => {
  test("a first packet is sent anew where nothing has come; once where something has, and then nothing more", () => {
    const mayGoOn = createPatience();
    const came = [0n, 148n, 148n, 0n, 240n, 388n, 388n];
    assert.deepEqual(came.map(mayGoOn), [true, false, true, true, false, false, true]);
  });

  test("it is over once hands are shaken, and when the tunnel has gone", async () => {
    let reads = 0;
    const read = async () => {
      reads += 1;
    };
    const again = async () => assert.fail("within a second");
    await shakeHands({ done: () => reads === 3, isGone: () => false, read, again }, true);
    await assert.rejects(shakeHands({ done: () => false, isGone: () => reads === 5, read, again }, true), (error) =>
      isMystError(error, "TUNNEL_FAILED"),
    );
  });
});
