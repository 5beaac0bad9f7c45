export type PolicyFound = {
  /** tries by kind and way */
  tried: Record<string, number>;
  /** what has got through, and what has kept a run from saying anything */
  problems: string[];
  /** how many got through */
  passed: number;
  /** how much of what may pass did pass meanwhile */
  reached: number;
  /** with the policy off: by kind and way, how much was seen to arrive */
  seen: Record<string, number>;
};
export type PolicyOptions = { runs: number; log(line: string): void; signal?: AbortSignal };
