export type FailoverChoice = "any" | "same" | "off";

/** How a connection stands that may outlive its exit. */
export type FailoverView = {
  choice: FailoverChoice;
  /** `looking`: no exit carries it at the moment */
  state: "carrying" | "probing" | "looking";
  /** connected, and ready to take over */
  standby?: { peer: string; country: string };
  /** of all its sessions: metered, and promised, base units, which is never more than the budget */
  usedBytes: bigint;
  promised: bigint;
  /** the last twenty */
  switches: FailoverStep[];
};

/** What has become of a connection's exit. `tookMs`: since when it was last known to be well. */
export type FailoverStep = { atMs: number } & (
  | { what: "standby"; peer?: string; country?: string }
  /** nothing is carried, another look for an exit has found none */
  | { what: "looking"; from: string; reason: string }
  | {
      what: "switched";
      from: string;
      peer: string;
      country: string;
      session: string;
      endpoint: Record<string, string>;
      reason: string;
      tookMs: number;
    }
  /** the same session goes on */
  | { what: "resumed"; peer: string; session: string; tookMs: number }
);
