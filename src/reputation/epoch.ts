/** What is told of a pair is told by the week: an epoch is so many since 1970. */
export const epochMs = 7 * 86_400_000;
/** Records are kept and counted for this many epochs, the present one included: 90 days and a bit. */
export const keptEpochs = 13;
const halfLifeMs = 30 * 86_400_000;

export const epochOf = (ms: number): number => Math.floor(ms / epochMs);

/** Is it one that counts: not over for too long, and not to come? */
export const isKept = (epoch: number, nowMs: number): boolean => epoch <= epochOf(nowMs) && epoch > epochOf(nowMs) - keptEpochs;

/** What something of that epoch still counts: half as much every 30 days from the middle of its week on, 1 before. */
export const fading = (epoch: number, nowMs: number): number => 2 ** (-Math.max(0, nowMs - (epoch + 0.5) * epochMs) / halfLifeMs);
