import { asMystError, MystError } from "../../../lib/errors.ts";
import type { Logger } from "../../../lib/ports.ts";
import { exitTable, type HostPlan, type IpStep, killSwitchTable, type PlanKind, removeTable, type Sysctl } from "../plan/host-plan.ts";
import { clientTable, throughTable } from "../plan/routes.ts";
import { watchChanges } from "./changes.ts";
import { createHold, type Hold } from "./hold.ts";
import { createLooking, type Looking } from "./looking.ts";
import { insertAccepts, missingAccepts, removeAccepts } from "./other-chains.ts";
import { applyShaping, seenShaping } from "./queues.ts";
import { isWhole, type Look, leftRules, looking, seen, seenByIp, seenTable } from "./seen.ts";
import { type HostState, processBegan, stateFile } from "./state-file.ts";
import { recordSysctls, restoreSysctls } from "./sysctls.ts";
import { adding, type IpLine, procSysctl, type Run, removing, type SysctlAccess, tools } from "./tools.ts";

export type HostNet = {
  /**
   * Makes the host as the plan says, from whatever an earlier plan of the same kind had made of it. The nft table comes first and in one
   * transaction, so what it keeps in is kept in from then on, also when a later step fails.
   * Resolves once the table was seen to stand.
   * @throws TOOL_MISSING, TUNNEL_FAILED with what the tool said; what was done until then stays, for `apply` or `revert`
   */
  apply(plan: HostPlan): Promise<void>;
  /**
   * In words for people, what is no longer as it was applied (another program may flush all tables); empty when all is. The nft table is
   * always looked at, rules and routes of both families or of those named. What has changed is made anew by the next `apply`.
   */
  verify(kind: PlanKind, families?: readonly (4 | 6)[]): Promise<string[]>;
  /**
   * Calls back soon after somebody has changed something of what was applied last, as far as the kernel tells; for nothing at times. Ends with
   * what it returns.
   */
  watch(kind: PlanKind, onChange: () => void): () => void;
  /**
   * Does `work` with one of the kernel's settings at least as high as given, and puts it back after that, or after a crash as what a plan has
   * changed. Where it may not be written (as in containers) the work is done without.
   */
  raising<T>(of: Pick<HostPlan, "kind" | "ifname">, setting: Sysctl, work: () => Promise<T>): Promise<T>;
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

const sameStep = (one: IpStep, other: IpStep) => one.add === other.add && one.family === other.family;

/**
 * Those steps that still stand under the next plan. What is done to a device stands or goes together: to take back one (its link, for a
 * start) takes others along.
 */
function keeps(before: IpStep[], next: IpStep[]): IpStep[] {
  const deviceOf = ({ add }: IpStep) => / dev (\S+)/.exec(add)?.[1];
  const done = (steps: IpStep[], device: string) => JSON.stringify(steps.filter((one) => deviceOf(one) === device).map(({ del }) => del));
  return before.filter((step) => {
    const device = deviceOf(step);
    return next.some((one) => sameStep(one, step)) && (device === undefined || done(before, device) === done(next, device));
  });
}

/** Applies plans; for root, in the privileged helper. Calls are made one after the other. */
export function createHostNet({ log, run, sysctl = procSysctl, stateDirectory = "/run/mystnode" }: HostNetDeps): HostNet {
  const tool = tools(run);
  const files = { exit: stateFile(stateDirectory, "exit"), client: stateFile(stateDirectory, "client") };
  /** what this process has applied, how it looked right after, and whether its routes, rules and addresses have looked so since */
  const applied = new Map<PlanKind, { plan: HostPlan; looks: Look; stands: boolean }>();
  /** for who looks again and again; where tools are run in a way of one's own each look is a run */
  let looks: Looking | undefined;
  let hold: Hold | undefined;
  const owner = { pid: process.pid, began: processBegan(process.pid) ?? "" };

  async function apply(plan: HostPlan): Promise<void> {
    const { kind, ifname, first } = plan;
    const before = files[kind].read();
    const was = applied.get(kind);
    const kept = was?.stands ? keeps(was.plan.steps, plan.steps) : [];
    const isShaped = was?.stands === true && JSON.stringify(was.plan.shaping) === JSON.stringify(plan.shaping);
    applied.delete(kind);
    const fresh = plan.steps.filter((step) => !kept.some((one) => sameStep(one, step)));
    const stale = (before?.undo ?? []).filter(({ del, family }) => !plan.steps.some((one) => one.del === del && one.family === family));
    const undo = plan.steps.toReversed().map(({ family, del }) => ({ family, del }));
    const state: HostState = {
      version: 1,
      owner,
      ifname,
      ...((first ?? before?.first) !== undefined && { first: first ?? before?.first }),
      undo: [...stale, ...undo],
      sysctls: recordSysctls(sysctl, plan.sysctls, before?.sysctls ?? []),
    };
    files[kind].write(state);
    await tool.nft(plan.nft);
    await insertAccepts(tool, plan.accepts);
    const [table, routed] = await Promise.allSettled([seenTable(tool, plan), takeSteps(plan, removing(stale), fresh), keep(plan)]);
    if (routed.status === "rejected") throw routed.reason;
    if (table.status === "rejected") throw table.reason;
    if (table.value === "") throw new MystError("TUNNEL_FAILED", `the nft table ${plan.table} was loaded and does not stand`);
    if (plan.shaping && !isShaped) await applyShaping(tool, plan.shaping);
    const shaped = await seenShaping(tool, plan.shaping);
    for (const { key, value } of plan.sysctls) if (sysctl.read(key) !== value) writeSysctl(key, value);
    files[kind].write({ ...state, undo });
    applied.set(kind, { plan, looks: { "the nft table": table.value, ...routed.value, ...shaped }, stands: true });
  }

  async function keep(plan: HostPlan): Promise<void> {
    if (!plan.hold || run) return;
    hold ??= createHold();
    if (!(await hold.set(plan.hold))) log.debug("the kernel keeps no table for us alone", { table: plan.hold.table });
  }

  /**
   * Takes for granted that what is stale is there, what is fresh is not and the rest stands. Where that turns out not to be so (a device
   * went and came back, or a process whose record is gone has left its rules), all is made anew.
   */
  async function takeSteps(plan: HostPlan, stale: IpLine[], fresh: IpStep[]): Promise<Look> {
    try {
      const looks = seenByIp(plan, await tool.ip([...stale, ...adding(fresh), ...looking(plan)]));
      if (isWhole(plan, looks)) return looks;
    } catch (error) {
      if (asMystError(error).code !== "TUNNEL_FAILED") throw error;
    }
    await tool.ipAnyway([...stale, ...removing(plan.steps.toReversed())]);
    return seenByIp(plan, await tool.ip([...adding(plan.steps), ...looking(plan)]));
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

  async function raising<T>({ kind, ifname }: Pick<HostPlan, "kind" | "ifname">, { key, value }: Sysctl, work: () => Promise<T>) {
    const old = sysctl.read(key);
    if (old === undefined || Number(old) >= Number(value)) return work();
    const before = files[kind].read();
    const state: HostState = before ?? { version: 1, owner, ifname, undo: [], sysctls: [] };
    files[kind].write({ ...state, sysctls: [...state.sysctls, { key, old, ours: value }] });
    try {
      sysctl.write(key, value);
    } catch (error) {
      log.debug("a setting stays as it is", { key, why: asMystError(error).message });
    }
    try {
      return await work();
    } finally {
      restoreSysctls(sysctl, [{ key, old, ours: value }], notRestored);
      if (before) files[kind].write(before);
      else files[kind].remove();
    }
  }

  const notRestored = (key: string, error: unknown) =>
    log.warn("a setting could not be restored", { key, why: asMystError(error).message });

  async function verify(kind: PlanKind, families?: readonly (4 | 6)[]): Promise<string[]> {
    const was = applied.get(kind);
    if (!was) return ["nothing is applied"];
    if (!run) looks ??= createLooking();
    const looked = { ...(await seen(looks ?? tool, was.plan, families)), ...(await seenShaping(tool, was.plan.shaping)) };
    const now = Object.entries(looked) as [keyof Look, string][];
    const changed = now.filter(([what, look]) => look !== was.looks[what]).map(([what]) => what);
    if (changed.some((what) => what !== "the nft table")) was.stands = false;
    const problems = changed.map((what) => `${what} of ${was.plan.ifname} changed`);
    for (const { key, value } of was.plan.sysctls)
      if (sysctl.read(key) !== value) problems.push(`${key.replaceAll("/", ".")} is no longer ${value}`);
    if (was.plan.hold && hold && !(await hold.stands())) problems.push(`the nft table ${was.plan.hold.table} is gone`);
    if ((await missingAccepts(looks ?? tool, was.plan.accepts)) > 0)
      problems.push("the host's firewall no longer lets clients' traffic pass");
    return problems;
  }

  async function takeBack(kind: PlanKind, state: HostState | undefined): Promise<string[]> {
    const removed: string[] = [];
    applied.delete(kind);
    if (applied.size === 0) looks?.close();
    if (kind === "exit") await removeAccepts(tool);
    if (state) {
      await tool.ipAnyway(removing(state.undo));
      restoreSysctls(sysctl, state.sysctls, notRestored);
    }
    if (kind === "client") {
      const left = await leftRules(tool);
      await tool.ipAnyway(left);
      for (const family of [4, 6] as const)
        for (const table of [clientTable, throughTable])
          if (await tool.print("ip", `-${family}`, "route", "show", "table", String(table)))
            await tool.ipAnyway([{ family, line: `route flush table ${table}` }]);
    }
    if (await tool.print("nft", "-t", "list", "table", "inet", tables[kind])) {
      await tool.nft(removeTable(tables[kind]));
      removed.push(`nft table ${tables[kind]}`);
    }
    if (kind === "client") hold?.close();
    files[kind].remove();
    if (state) removed.push(`routes and settings of ${state.ifname}`);
    return removed;
  }

  async function reconcileKind(kind: PlanKind): Promise<string[]> {
    const state = files[kind].read();
    if (state && state.owner.pid !== owner.pid && processBegan(state.owner.pid) === state.owner.began) return [];
    const removed = await takeBack(kind, state);
    for (const name of state ? [state.ifname, ...(state.first === undefined ? [] : [state.first])] : [])
      if (await tool.print("ip", "link", "show", "dev", name)) {
        await tool.ipAnyway([{ family: 4, line: `link del dev ${name}` }]);
        removed.push(`interface ${name}`);
      }
    return removed;
  }

  return {
    apply,
    raising,
    verify,
    watch: (kind, onChange) => {
      const plan = applied.get(kind)?.plan;
      return plan && !run ? watchChanges(plan, onChange).close : () => undefined;
    },
    revert: async (kind) => void (await takeBack(kind, files[kind].read())),
    reconcile: async (of = kinds) => {
      const removed: string[] = [];
      for (const kind of of) removed.push(...(await reconcileKind(kind)));
      return removed;
    },
  };
}
