import { connect, isIPv4, type Socket } from "node:net";
import { deadline } from "../../lib/lifecycle.ts";
import { judge, type Policy, type Refusal } from "../policy.ts";
import type { ReplyCode } from "./protocol.ts";
import { addressesOf, type Resolve } from "./resolve.ts";

export type DialDeps = {
  policy: Policy;
  resolve: Resolve;
  /** the exit's own addresses at this moment */
  own(): string[];
};

export type DialOptions = { egressAddress: string | undefined; timeoutMs: number };

/** `detail` is for the exit's own log. */
type Refused = { ok: false; code: Exclude<ReplyCode, "ok">; detail?: Refusal };
/** What came of it. */
export type Dialled = { ok: true; socket: Socket } | Refused;

/** The next address is tried when the last has not answered for so long (RFC 8305 proposes 250 ms). */
const staggerMs = 250;
const maxAttempts = 4;

/**
 * Resolves, judges each address, and connects to one that passed, never to anything else. The socket is half-open capable and
 * paused. Whatever happens, no other socket is left.
 */
export async function dial(deps: DialDeps, options: DialOptions, host: string, port: number, signal: AbortSignal): Promise<Dialled> {
  const limit = deadline(options.timeoutMs, signal);
  const addresses = await unlessAborted(addressesOf(host, deps.resolve, limit), limit).catch(() => []);
  if (limit.aborted) return { ok: false, code: "timeout" };
  if (addresses.length === 0) return { ok: false, code: "name" };
  const may = permitted(deps, options.egressAddress, addresses, port);
  return may.ok ? first(may.addresses.slice(0, maxAttempts), port, options.egressAddress, limit) : may;
}

/** Of a target's addresses those that policy and egress address allow, in their order; at least one, or why there is none. */
export function permitted(
  deps: Pick<DialDeps, "policy" | "own">,
  egressAddress: string | undefined,
  addresses: string[],
  port: number,
): { ok: true; addresses: string[] } | Refused {
  const own = deps.own();
  const verdicts = addresses.map((address) => judge(deps.policy, own, address, port));
  const passed = verdicts.flatMap((verdict) => (verdict.ok ? [verdict.address] : []));
  const refused = verdicts.find((verdict) => !verdict.ok);
  if (passed.length === 0) return { ok: false, code: "policy", ...(refused && !refused.ok && { detail: refused.reason }) };
  const reachable = egressAddress ? passed.filter((address) => isIPv4(address) === isIPv4(egressAddress)) : passed;
  return reachable.length > 0 ? { ok: true, addresses: reachable } : { ok: false, code: "unreachable" };
}

const unlessAborted = <T>(work: Promise<T>, signal: AbortSignal): Promise<T> =>
  new Promise((resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    work.then(resolve, reject);
  });

/** Tries addresses in turn, a little apart; the first that connects is kept. */
function first(addresses: string[], port: number, localAddress: string | undefined, signal: AbortSignal): Promise<Dialled> {
  return new Promise((resolve) => {
    const attempts = new Set<Socket>();
    let next = 0;
    let timer: NodeJS.Timeout | undefined;
    const finish = (outcome: Dialled) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", late);
      for (const socket of attempts) if (!outcome.ok || socket !== outcome.socket) socket.destroy();
      attempts.clear();
      resolve(outcome);
    };
    const late = () => finish({ ok: false, code: "timeout" });
    const attempt = () => {
      clearTimeout(timer);
      const host = addresses[next];
      if (host === undefined) return;
      next += 1;
      const socket = connect({ host, port, allowHalfOpen: true, noDelay: true, ...(localAddress && { localAddress }) });
      attempts.add(socket);
      socket.pause();
      socket.on("error", () => undefined);
      socket.once("connect", () => attempts.has(socket) && finish({ ok: true, socket }));
      socket.once("error", (error: NodeJS.ErrnoException) => {
        if (!attempts.delete(socket)) return;
        if (next < addresses.length) attempt();
        else if (attempts.size === 0) finish({ ok: false, code: codeOf(error) });
      });
      timer = setTimeout(attempt, staggerMs);
    };
    signal.addEventListener("abort", late, { once: true });
    attempt();
  });
}

const codeOf = (error: NodeJS.ErrnoException): Exclude<ReplyCode, "ok"> => {
  switch (error.code) {
    case "ECONNREFUSED":
    case "ECONNRESET":
      return "refused";
    case "ETIMEDOUT":
      return "timeout";
    case "ENETUNREACH":
    case "EHOSTUNREACH":
    case "EADDRNOTAVAIL":
      return "unreachable";
    default:
      return "failed";
  }
};
