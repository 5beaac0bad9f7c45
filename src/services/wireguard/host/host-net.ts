import { asMystError, MystError } from "../../../lib/errors.ts";
import type { Logger } from "../../../lib/ports.ts";
import { exitTable, type HostPlan, type IpStep, killSwitchTable, type PlanKind, removeTable } from "../plan/host-plan.ts";
import { clientTable } from "../plan/routes.ts";
import { insertAccepts, missingAccepts, removeAccepts } from "./other-chains.ts";
import { leftRules, seen } from "./seen.ts";
import { type HostState, processBegan, stateFile } from "./state-file.ts";
import { recordSysctls, restoreSysctls } from "./sysctls.ts";
import { adding, procSysctl, type Run, removing, type SysctlAccess, tools } from "./tools.ts";

export type HostNet = {
  /**
   * Makes the host as the plan says, from whatever an earlier plan of the same kind had made of it. The nft table comes first and in one
   * transaction, so what it keeps in is kept in from then on, also when a later step fails.
   * @throws TOOL_MISSING, TUNNEL_FAILED with what the tool said; what was done until then stays, for `apply` or `revert`
   */
  apply(plan: HostPlan): Promise<void>;
  /** In words for people, what is no longer as it was applied (another program may flush all tables); empty when all is. */
  verify(kind: PlanKind): Promise<string[]>;
  /** The host as it was before the first `apply`; does nothing where there is nothing. The nft table goes last. */
  revert(kind: PlanKind): Promise<void>;
  /**
   * At start and for `mystnode cleanup`: removes what an ended process has left of these kinds (default: both), the link too. What belongs to a process
   * that is alive is left alone. Resolves with what it has removed, in words for people.
   */
  reconcile(of?: PlanKind[]): Promise<string[]>;
};

export type HostNetDeps = {
  log: Logger;
  /** default `runTool` */
  run?: Run;
  /** default /proc/sys */
  sysctl?: SysctlAccess;
  /** default /run/mystnode */
  stateDirectory?: string;
};

const tables: Record<PlanKind, string> = { exit: exitTable, client: killSwitchTable };
const kinds: PlanKind[] = ["exit", "client"];

const same = (one: string[], other: string[]) => one.join("\0") === other.join("\0");
const sameStep = (one: IpStep, other: IpStep) => one.add === other.add && one.family === other.family;

/**
 * Those steps that still stand under the next plan. What is done to the device stands or goes together: to take back one (its link, for a
 * start) takes others along.
 */
function keeps(before: IpStep[], next: IpStep[]): IpStep[] {
  const ofDevice = ({ add }: IpStep) => / dev /.test(add);
  const device = (steps: IpStep[]) => JSON.stringify(steps.filter(ofDevice));
  return before.filter((step) => next.some((one) => sameStep(one, step)) && (!ofDevice(step) || device(before) === device(next)));
}

/** Applies plans; for root, in the privileged helper. Calls are made one after the other. */
export function createHostNet({ log, run, sysctl = procSysctl, stateDirectory = "/run/mystnode" }: HostNetDeps): HostNet {
  const tool = tools(run);
  const files = { exit: stateFile(stateDirectory, "exit"), client: stateFile(stateDirectory, "client") };
  /** what this process has applied, and how it looked right after */
  const applied = new Map<PlanKind, { plan: HostPlan; looks: string[] }>();
  const owner = { pid: process.pid, began: processBegan(process.pid) ?? "" };

  async function apply(plan: HostPlan): Promise<void> {
    const { kind, ifname } = plan;
    const before = files[kind].read();
    const was = applied.get(kind);
    // where anything has changed since, such as a device that went and came back, nothing is taken for granted
    const stands = was !== undefined && same(await seen(tool, was.plan), was.looks);
    const kept = stands ? keeps(was.plan.steps, plan.steps) : [];
    applied.delete(kind);
    const fresh = plan.steps.filter((step) => !kept.some((one) => sameStep(one, step)));
    const stale = (before?.undo ?? []).filter(({ del, family }) => !plan.steps.some((one) => one.del === del && one.family === family));
    const undo = plan.steps.toReversed().map(({ family, del }) => ({ family, del }));
    const state: HostState = {
      version: 1,
      owner,
      ifname,
      undo: [...stale, ...undo],
      sysctls: recordSysctls(sysctl, plan.sysctls, before?.sysctls ?? []),
    };
    files[kind].write(state);
    await tool.nft(plan.nft);
    await insertAccepts(tool, plan.accepts);
    // what is about to be made may be left from a process whose record is gone, and `rule add` would refuse
    await tool.ipAnyway(removing([...stale, ...fresh.toReversed()]));
    await tool.ip(adding(fresh));
    for (const { key, value } of plan.sysctls) if (sysctl.read(key) !== value) writeSysctl(key, value);
    files[kind].write({ ...state, undo });
    applied.set(kind, { plan, looks: await seen(tool, plan) });
  }

  function writeSysctl(key: string, value: string): void {
    try {
      sysctl.write(key, value);
    } catch (cause) {
      throw new MystError("TUNNEL_FAILED", `cannot set ${key.replaceAll("/", ".")} to ${value}`, {
        hint: `run 'sysctl -w ${key.replaceAll("/", ".")}=${value}' on the host itself, where this is a container`,
        cause,
      });
    }
  }

  async function verify(kind: PlanKind): Promise<string[]> {
    const was = applied.get(kind);
    if (!was) return ["nothing is applied"];
    const now = await seen(tool, was.plan);
    const changed = (["the nft table", "the routes", "the IPv6 routes", "the address"] as const).filter(
      (_, at) => now[at] !== was.looks[at],
    );
    const problems: string[] = changed.map((what) => `${what} of ${was.plan.ifname} changed`);
    for (const { key, value } of was.plan.sysctls)
      if (sysctl.read(key) !== value) problems.push(`${key.replaceAll("/", ".")} is no longer ${value}`);
    if ((await missingAccepts(tool, was.plan.accepts)) > 0) problems.push("the host's firewall no longer lets clients' traffic pass");
    return problems;
  }

  async function takeBack(kind: PlanKind, state: HostState | undefined): Promise<string[]> {
    const removed: string[] = [];
    applied.delete(kind);
    if (kind === "exit") await removeAccepts(tool);
    if (state) {
      await tool.ipAnyway(removing(state.undo));
      restoreSysctls(sysctl, state.sysctls, (key, error) =>
        log.warn("a setting could not be restored", { key, why: asMystError(error).message }),
      );
    }
    if (kind === "client") {
      const left = await leftRules(tool);
      await tool.ipAnyway(left);
      for (const family of [4, 6] as const)
        if (await tool.print("ip", `-${family}`, "route", "show", "table", String(clientTable)))
          await tool.ipAnyway([{ family, line: `route flush table ${clientTable}` }]);
    }
    if (await tool.print("nft", "-t", "list", "table", "inet", tables[kind])) {
      await tool.nft(removeTable(tables[kind]));
      removed.push(`nft table ${tables[kind]}`);
    }
    files[kind].remove();
    if (state) removed.push(`routes and settings of ${state.ifname}`);
    return removed;
  }

  async function reconcileKind(kind: PlanKind): Promise<string[]> {
    const state = files[kind].read();
    if (state && state.owner.pid !== owner.pid && processBegan(state.owner.pid) === state.owner.began) return [];
    const removed = await takeBack(kind, state);
    if (state && (await tool.print("ip", "link", "show", "dev", state.ifname))) {
      await tool.ipAnyway([{ family: 4, line: `link del dev ${state.ifname}` }]);
      removed.push(`interface ${state.ifname}`);
    }
    return removed;
  }

  return {
    apply,
    verify,
    revert: async (kind) => void (await takeBack(kind, files[kind].read())),
    reconcile: async (of = kinds) => {
      const removed: string[] = [];
      for (const kind of of) removed.push(...(await reconcileKind(kind)));
      return removed;
    },
  };
}
