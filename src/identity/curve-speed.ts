import { MystError } from "../lib/errors.ts";
import { curveKind, recoverAddress, signDigest } from "./signature.ts";

/** An exit that checks fewer signatures than this in a second on one core cannot keep up with its clients. */
export const leastRecoversPerSecond = 2_000;
const budgetMs = 50;
const burst = 20;

/** Signatures recovered in a second, from the best of several bursts within 50 ms: other work on the machine slows some, not all. */
export function measureCurve(): number {
  const digest = new Uint8Array(32).fill(1);
  const signature = signDigest(digest, new Uint8Array(32).fill(2));
  const beganMs = performance.now();
  let best = 0;
  do {
    const fromMs = performance.now();
    for (let i = 0; i < burst; i += 1) recoverAddress(digest, signature);
    best = Math.max(best, (burst * 1000) / (performance.now() - fromMs));
  } while (performance.now() - beganMs < budgetMs);
  return Math.floor(best);
}

/** What to warn about at the start: SLOW_CRYPTO when this machine checks too few signatures; takes about 50 ms. */
export function assertCurveSpeed(perSecond = measureCurve()): MystError | undefined {
  if (perSecond >= leastRecoversPerSecond) return undefined;
  return new MystError("SLOW_CRYPTO", `this machine checks ${perSecond} signatures a second, under ${leastRecoversPerSecond}`, {
    hint:
      curveKind === "native"
        ? "serve fewer sessions at once on it"
        : "the native secp256k1 does not load here: run 'npm rebuild secp256k1' where a compiler is, or serve fewer sessions at once",
    meta: { perSecond, curve: curveKind },
  });
}
