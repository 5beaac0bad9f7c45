import { MystError } from "../../../lib/errors.ts";
import type { HostNet } from "../host/host-net.ts";
import type { HostPlan, PlanKind, Sysctl } from "../plan/host-plan.ts";
import type { Cleanup } from "../types.ts";

/** What an exit or a client needs of the host's network. */
export type HostPort = {
  /** Applies a plan, in place of the one before it. */
  apply(plan: HostPlan): Promise<void>;
  /** What is no longer as it was applied, in words; empty when all is. Of rules and routes, those of the families named (default: both). */
  verify(families?: readonly (4 | 6)[]): Promise<string[]>;
  /** Calls back when somebody may have changed what was applied; ends with what it returns. */
  watch(onChange: () => void): () => void;
  /** Takes back what was applied. */
  revert(): Promise<void>;
  /** Does `work` for the interface with one of the kernel's settings raised. */
  raising<T>(ifname: string, setting: Sysctl, work: () => Promise<T>): Promise<T>;
};

export type HostPorts = {
  of(kind: PlanKind): HostPort;
  /** Removes what an ended process has left. */
  reconcile(kind: PlanKind): Promise<void>;
  cleanup(): Promise<Cleanup>;
};

/** The host's network, one change at a time whoever asks for it. */
export function hostPort(host: HostNet): HostPorts {
  let tail: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = tail.then(work);
    tail = done.catch(() => undefined);
    return done;
  };
  return {
    of: (kind) => ({
      apply: (plan) => inTurn(() => host.apply(plan)),
      verify: (families) => inTurn(() => host.verify(kind, families)),
      watch: (onChange) => host.watch(kind, onChange),
      revert: () => inTurn(() => host.revert(kind)),
      raising: (ifname, setting, work) => inTurn(() => host.raising({ kind, ifname }, setting, work)),
    }),
    reconcile: (kind) => inTurn(async () => void (await host.reconcile([kind]))),
    cleanup: () =>
      inTurn(async () => {
        try {
          return { removed: await host.reconcile(), failed: [] };
        } catch (error) {
          if (!(error instanceof MystError)) throw error;
          return { removed: [], failed: [error.message] };
        }
      }),
  };
}
