import { type Chain, createPublicClient, defineChain, type HttpTransport, http, type PublicClient } from "viem";
import type { Clock } from "../lib/clock.ts";
import type { MystError } from "../lib/errors.ts";
import { within } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import type { ChainStatus } from "./chain.ts";
import { chainError, stale } from "./errors.ts";

const requestMs = 8_000;
const callMs = 10_000;
/** a URL that has failed goes to the end of the line for so long */
const restMs = 30_000;

/** viem's client of one URL. Its errors hold that URL: they leave this part through `chainError` only. */
export type Client = PublicClient<HttpTransport, Chain>;

export type Endpoints = {
  /**
   * Does `work` with the first URL that answers; one that is down, or on the wrong chain, is passed over.
   * `what` names the call in errors. @throws RPC_UNREACHABLE and what `verify` throws
   */
  call<T>(what: string, work: (client: Client) => Promise<T>): Promise<T>;
  /**
   * Does `work` with every URL that is up, at once: a transaction that one of them only pretends to take is taken by another.
   * @throws as `call` where none does it
   */
  all(what: string, work: (client: Client) => Promise<void>): Promise<void>;
  status(): ChainStatus;
  /** To be told of the newest block that a URL shows, from within `work`. @throws RPC_STALE when it is far behind what was seen before */
  saw(block: bigint): void;
};

export type EndpointsOptions = {
  urls: string[];
  /** asked of each URL before it is used, again until it has passed, and again after `verifyMs`: whom one believes may change */
  verify?(client: Client): Promise<void>;
  /** default 30 s */
  verifyMs?: number;
  log: Logger;
  clock: Clock;
};

const defaultVerifyMs = 30_000;
/** blocks that one URL may be behind another: several nodes are never at one */
const lagBlocks = 5;
/** and no chain gets on by more than this within `forgetMs` */
const leapBlocks = 20_000;
/** after so long without a newer block a lower one counts again: a chain may have gone back for good */
const forgetMs = 600_000;

const passedOver = new Set(["RPC_UNREACHABLE", "RPC_STALE", "RPC_WRONG_CHAIN", "CONTRACT_MISSING", "CONTRACT_MISMATCH"]);

/** Several RPC URLs as one, in order. Asks nothing by itself. */
export function createEndpoints({ urls, verify, verifyMs = defaultVerifyMs, log, clock }: EndpointsOptions): Endpoints {
  const endpoints = urls.map((url, index) => ({
    ...{ client: clientOf(url), index, verifiedMs: Number.NEGATIVE_INFINITY, downUntilMs: 0 },
    /** why it was last not believed */
    distrusted: undefined as string | undefined,
  }));
  let newest = { block: -1n, atMs: 0 };
  let status: ChainStatus = { reachable: false };
  const inOrder = () => {
    const nowMs = clock.nowMs();
    const up = endpoints.filter(({ downUntilMs }) => downUntilMs <= nowMs);
    return [...up, ...endpoints.filter((endpoint) => !up.includes(endpoint))];
  };

  const ask = async <T>(endpoint: (typeof endpoints)[number], work: (client: Client) => Promise<T>): Promise<T> => {
    const nowMs = clock.nowMs();
    if (nowMs - endpoint.verifiedMs >= verifyMs) {
      endpoint.verifiedMs = Number.NEGATIVE_INFINITY;
      await verify?.(endpoint.client);
      endpoint.verifiedMs = nowMs;
    }
    return work(endpoint.client);
  };
  const tryOne = async <T>(endpoint: (typeof endpoints)[number], what: string, work: (client: Client) => Promise<T>): Promise<T> => {
    try {
      const value = await within(ask(endpoint, work), callMs, "RPC_UNREACHABLE", what);
      endpoint.downUntilMs = 0;
      endpoint.distrusted = undefined;
      status = { ...(status.block !== undefined && { block: status.block }), reachable: true };
      return value;
    } catch (error) {
      const problem = chainError(error, what);
      if (passedOver.has(problem.code)) {
        endpoint.downUntilMs = clock.nowMs() + restMs;
        const facts = { rpc: endpoint.index, code: problem.code, message: problem.message };
        // one that is down will be up again; one that is not believed is somebody's to look at, once
        if (problem.code !== "RPC_UNREACHABLE" && endpoint.distrusted !== problem.code) log.warn("an RPC is not believed", facts);
        else log.debug("an RPC was passed over", facts);
        if (problem.code !== "RPC_UNREACHABLE") endpoint.distrusted = problem.code;
      }
      throw problem;
    }
  };
  const give = (problems: MystError[]): never => {
    // an answer that is wrong says more than none
    const problem = problems.find(({ code }) => code !== "RPC_UNREACHABLE") ?? (problems[0] as MystError);
    status = { ...status, reachable: problem.code !== "RPC_UNREACHABLE", problem: problem.message };
    throw problem;
  };

  const call = async <T>(what: string, work: (client: Client) => Promise<T>): Promise<T> => {
    const problems: MystError[] = [];
    for (const endpoint of inOrder()) {
      try {
        return await tryOne(endpoint, what, work);
      } catch (error) {
        const problem = error as MystError;
        if (!passedOver.has(problem.code)) throw problem;
        problems.push(problem);
      }
    }
    return give(problems);
  };

  const all = async (what: string, work: (client: Client) => Promise<void>): Promise<void> => {
    const up = endpoints.filter(({ downUntilMs }) => downUntilMs <= clock.nowMs());
    const results = await Promise.allSettled((up.length > 0 ? up : endpoints).map((endpoint) => tryOne(endpoint, what, work)));
    if (results.some(({ status }) => status === "fulfilled")) return;
    const problems = results.map((result) => (result as PromiseRejectedResult).reason as MystError);
    const hard = problems.find(({ code }) => !passedOver.has(code));
    if (hard) throw hard;
    give(problems);
  };

  return {
    call,
    all,
    status: () => status,
    saw: (block) => {
      const nowMs = clock.nowMs();
      const isFresh = nowMs - newest.atMs <= forgetMs;
      if (isFresh && newest.block >= 0n && block > newest.block + BigInt(leapBlocks))
        throw stale(`the RPC shows block ${block} as its newest, and ${newest.block} was the newest a moment ago`);
      if (block >= newest.block || !isFresh) newest = { block, atMs: nowMs };
      else if (block + BigInt(lagBlocks) < newest.block)
        throw stale(`the RPC shows block ${block} as its newest, and ${newest.block} was seen`);
      status = { ...status, block: Number(block) };
    },
  };
}

function clientOf(url: string): Client {
  const chain = defineChain({
    id: 0,
    name: "configured",
    nativeCurrency: { name: "gas", symbol: "gas", decimals: 18 },
    rpcUrls: { default: { http: [url] } },
  });
  // Retrying is ours: the next URL, or the caller's next round.
  return createPublicClient({ chain, transport: http(url, { timeout: requestMs, retryCount: 0 }), cacheTime: 0 });
}
