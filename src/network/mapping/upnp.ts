import { createSocket } from "node:dgram";
import { once } from "node:events";
import { request } from "node:http";
import { isIPv4 } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { isMystError, MystError } from "../../lib/errors.ts";
import type { Lan } from "./gateway.ts";
import type { Asking, Mapped, Router, Wanted } from "./router.ts";
import { callOf, gatewayTypes, locationIn, type Service, searchFor, serviceIn, valueIn } from "./upnp-text.ts";

const group = "239.255.255.250";
const maxAnswer = 2_048;
const maxBody = 64 * 1024;
/** it is searched for so often, and waited so many times the first pause each time */
const searches = 3;
const pause = 4;
const askMs = 4_000;
/** other ports of the router that are tried where one is taken by somebody else */
const tries = 4;
/** faults of AddPortMapping: taken by another; it can only do so for ever; it forwards a port to the same one alone */
const faults = { taken: 718, onlyForEver: 725 } as const;

/**
 * The gateway as one that maps ports by UPnP. It is searched for at its own address and at the group's, since many answer to one of them
 * alone; who answers from elsewhere is not read. @throws PEER_TIMEOUT, PEER_REFUSED, MALFORMED
 */
export async function openUpnp(lan: Lan, signal: AbortSignal, asking: Asking): Promise<Router> {
  const location = await search(lan, signal, asking);
  const service = serviceIn(await exchange(lan, location, undefined, signal), location, lan.gateway);
  const call = (action: string, args: [string, string | number][], until: AbortSignal) =>
    exchange(lan, service.control, { service, action, body: callOf(service.type, action, args) }, until);
  const add = async ({ protocol, port, outside }: Wanted, lease: number, until: AbortSignal): Promise<Mapped> => {
    const answer = await call(
      "AddPortMapping",
      [
        ["NewRemoteHost", ""],
        ["NewExternalPort", outside],
        ["NewProtocol", protocol.toUpperCase()],
        ["NewInternalPort", port],
        ["NewInternalClient", lan.address],
        ["NewEnabled", 1],
        ["NewPortMappingDescription", "mystnode"],
        ["NewLeaseDuration", lease],
      ],
      until,
    );
    valueIn(answer, "AddPortMappingResponse");
    return { protocol, port, outside };
  };
  const faultOf = (error: unknown) => (isMystError(error, "PEER_REFUSED") ? error.meta?.fault : undefined);
  return {
    by: "upnp",
    externalAddress: async (until) => {
      const address = valueIn(await call("GetExternalIPAddress", [], until), "NewExternalIPAddress");
      if (!isIPv4(address)) throw new MystError("MALFORMED", "the router's address is none");
      return address;
    },
    map: async (wanted, until) => {
      let lease = Math.round(wanted.leaseMs / 1000);
      let outside = wanted.outside;
      for (let left = tries; ; left -= 1) {
        try {
          return await add({ ...wanted, outside }, lease, until);
        } catch (error) {
          const fault = faultOf(error);
          if (left === 0 || (fault !== faults.taken && (fault !== faults.onlyForEver || lease === 0))) throw error;
          if (fault === faults.onlyForEver) lease = 0;
          else outside = 1_024 + Math.floor(Math.random() * 64_000);
        }
      }
    },
    unmap: async ({ protocol, outside }, until) => {
      const args: [string, string | number][] = [
        ["NewRemoteHost", ""],
        ["NewExternalPort", outside],
        ["NewProtocol", protocol.toUpperCase()],
      ];
      valueIn(await call("DeletePortMapping", args, until), "DeletePortMappingResponse");
    },
  };
}

async function search({ gateway, address }: Lan, signal: AbortSignal, { ssdp, againMs }: Asking): Promise<URL> {
  const socket = createSocket("udp4");
  const ended = new AbortController();
  const until = AbortSignal.any([signal, ended.signal]);
  try {
    const found = new Promise<URL>((resolve, reject) => {
      socket.on("message", (message, from) => {
        if (from.address !== gateway || message.length > maxAnswer) return;
        const location = locationIn(message, gateway);
        if (location) resolve(location);
      });
      socket.on("error", reject);
    });
    found.catch(() => undefined);
    socket.bind(0, address);
    await once(socket, "listening", { signal: until });
    socket.setMulticastInterface(address);
    const asking = (async () => {
      for (let time = 0; time < searches; time += 1) {
        for (const type of gatewayTypes) for (const to of [gateway, group]) socket.send(searchFor(type), ssdp, to, () => undefined);
        await wait(pause * againMs, undefined, { signal: until });
      }
      throw new MystError("PEER_TIMEOUT", "the router does not answer by UPnP");
    })();
    asking.catch(() => undefined);
    return await Promise.race([found, asking]);
  } finally {
    ended.abort();
    socket.close();
  }
}

type Call = { service: Service; action: string; body: string };

/** One HTTP request to the gateway; what it answers, 64 KiB at most, whatever its status. It is not followed anywhere. */
function exchange({ address }: Lan, url: URL, call: Call | undefined, signal: AbortSignal): Promise<string> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), askMs);
  const headers = call && { "content-type": 'text/xml; charset="utf-8"', soapaction: `"${call.service.type}#${call.action}"` };
  const asked = new Promise<string>((resolve, reject) => {
    const fail = (cause: unknown) =>
      reject(new MystError("PEER_TIMEOUT", "the router has not answered by UPnP", { cause: cause as Error }));
    const asking = request(
      url,
      {
        ...{ method: call ? "POST" : "GET", agent: false, localAddress: address, maxHeaderSize: 8 * 1024 },
        signal: AbortSignal.any([signal, late.signal]),
        headers: { ...headers, connection: "close", ...(call && { "content-length": Buffer.byteLength(call.body) }) },
      },
      (answer) => {
        const chunks: Buffer[] = [];
        let size = 0;
        answer.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size > maxBody) {
            asking.destroy();
            reject(new MystError("MALFORMED", `the router has answered more than ${maxBody} bytes`));
          } else chunks.push(chunk);
        });
        answer.on("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
        answer.on("error", fail);
      },
    );
    asking.on("error", fail);
    asking.end(call?.body);
  });
  return asked.finally(() => clearTimeout(timer));
}
