import { type Chain, createPublicClient, defineChain, type HttpTransport, http, type PublicClient } from "viem";
import type { Clock } from "../lib/clock.ts";
import type { MystError } from "../lib/errors.ts";
import { within } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import type { ChainStatus } from "./chain.ts";
import { chainError } from "./errors.ts";

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
  status(): ChainStatus;
  /** to be told of the newest block seen */
  saw(block: bigint): void;
};

export type EndpointsOptions = {
  urls: string[];
  /** asked of each URL before it is first used, and again until it has passed */
  verify?(client: Client): Promise<void>;
  log: Logger;
  clock: Clock;
};

const passedOver = new Set(["RPC_UNREACHABLE", "RPC_WRONG_CHAIN", "CONTRACT_MISSING", "CONTRACT_MISMATCH"]);

/** Several RPC URLs as one, in order. Asks nothing by itself. */
export function createEndpoints({ urls, verify, log, clock }: EndpointsOptions): Endpoints {
  const endpoints = urls.map((url, index) => ({ client: clientOf(url), index, verified: verify === undefined, downUntilMs: 0 }));
  let status: ChainStatus = { reachable: false };
  const inOrder = () => {
    const nowMs = clock.nowMs();
    const up = endpoints.filter(({ downUntilMs }) => downUntilMs <= nowMs);
    return [...up, ...endpoints.filter((endpoint) => !up.includes(endpoint))];
  };

  const ask = async <T>(endpoint: (typeof endpoints)[number], work: (client: Client) => Promise<T>): Promise<T> => {
    if (!endpoint.verified) await verify?.(endpoint.client);
    endpoint.verified = true;
    return work(endpoint.client);
  };

  const call = async <T>(what: string, work: (client: Client) => Promise<T>): Promise<T> => {
    const problems: MystError[] = [];
    for (const endpoint of inOrder()) {
      try {
        const value = await within(ask(endpoint, work), callMs, "RPC_UNREACHABLE", what);
        endpoint.downUntilMs = 0;
        status = { ...(status.block !== undefined && { block: status.block }), reachable: true };
        return value;
      } catch (error) {
        const problem = chainError(error, what);
        if (!passedOver.has(problem.code)) throw problem;
        endpoint.downUntilMs = clock.nowMs() + restMs;
        log.debug("an RPC was passed over", { rpc: endpoint.index, code: problem.code, message: problem.message });
        problems.push(problem);
      }
    }
    // an answer that is wrong says more than none
    const problem = problems.find(({ code }) => code !== "RPC_UNREACHABLE") ?? (problems[0] as MystError);
    status = { ...status, reachable: problem.code !== "RPC_UNREACHABLE", problem: problem.message };
    throw problem;
  };

  return {
    call,
    status: () => status,
    saw: (block) => {
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
