import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:http";

export type Forward = { protocol: "tcp" | "udp"; outside: number; client: string; port: number; lease: number };

export type HomeRouterOptions = {
  /** in the local network */
  address: string;
  /** as it says */
  outside: string;
  speaks: ("pmp" | "upnp")[];
  ports?: { pmp: number; ssdp: number };
  /** has it forwarded, or no more */
  apply?(forward: Forward, isOn: boolean): void;
  /** ports of its own that somebody else has */
  taken?: number[];
  /** it knows no leases but endless ones */
  onlyForEver?: boolean;
  /** it refuses these */
  refuses?: "tcp" | "udp";
  igd?: 1 | 2;
  /** in place of what it would say */
  lies?: {
    location?: string;
    control?: string;
    description?: string;
    body?: string /** searches are answered from there */;
    from?: string;
    pmp?: Buffer;
  };
};

export type HomeRouter = AsyncDisposable & {
  forwards: Map<string, Forward> /** what was asked by HTTP: method and path, or action */;
  asked: string[];
  location: string;
};

const keyOf = ({ protocol, outside }: Pick<Forward, "protocol" | "outside">) => `${protocol} ${outside}`;
const group = "239.255.255.250";

/** A router of the kind that people have at home, as far as those behind it may command it: NAT-PMP (RFC 6886) and UPnP IGD 1 or 2. */
export async function startHomeRouter(options: HomeRouterOptions): Promise<HomeRouter> {
  const { address, outside, speaks, ports = { pmp: 5351, ssdp: 1900 }, lies = {}, taken = [], igd = 1 } = options;
  const forwards = new Map<string, Forward>();
  const asked: string[] = [];
  await using undo = new AsyncDisposableStack();
  const set = (forward: Forward) => {
    const before = forwards.get(keyOf(forward));
    if (before) options.apply?.(before, false);
    forwards.set(keyOf(forward), forward);
    options.apply?.(forward, true);
  };
  const drop = (key: string): boolean => {
    const forward = forwards.get(key);
    if (forward) options.apply?.(forward, false);
    return forwards.delete(key);
  };
  const isTaken = (key: string, port: number, client: string) => taken.includes(port) || (forwards.get(key)?.client ?? client) !== client;
  const bound = async (port: number, host: string): Promise<Socket> => {
    const socket = createSocket({ type: "udp4", reuseAddr: true });
    socket.bind(port, host);
    await once(socket, "listening");
    undo.defer(() => void socket.close());
    return socket;
  };

  if (speaks.includes("pmp")) {
    const socket = await bound(ports.pmp, address);
    socket.on("message", (question, from) => {
      if (lies.pmp) return socket.send(lies.pmp, from.port, from.address);
      const op = question[1] ?? 0;
      const answer = Buffer.alloc(op === 0 ? 12 : 16);
      answer[1] = 128 + op;
      if (op === 0) answer.set(outside.split(".").map(Number), 8);
      else {
        const [port, wished, lease] = [question.readUInt16BE(4), question.readUInt16BE(6), question.readUInt32BE(8)];
        const protocol = op === 1 ? "udp" : "tcp";
        const own = [...forwards.values()].find((one) => one.protocol === protocol && one.port === port && one.client === from.address);
        const chosen = isTaken(keyOf({ protocol, outside: wished }), wished, from.address) ? wished + 1_000 : wished;
        if (protocol === options.refuses) answer.writeUInt16BE(2, 2);
        else if (lease > 0) set({ protocol, outside: chosen, client: from.address, port, lease });
        else if (own) drop(keyOf(own));
        answer.writeUInt16BE(port, 8);
        answer.writeUInt16BE(lease > 0 ? chosen : 0, 10);
        answer.writeUInt32BE(lease, 12);
      }
      socket.send(answer, from.port, from.address);
    });
  }

  const service = `urn:schemas-upnp-org:service:WANIPConnection:${igd}`;
  const act = (action: string, body: string, from: string): { fault?: number; values?: string } => {
    const value = (name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(body)?.[1] ?? "";
    const protocol = value("NewProtocol").toLowerCase() as Forward["protocol"];
    const port = Number(value("NewExternalPort"));
    if (action === "GetExternalIPAddress") return { values: `<NewExternalIPAddress>${outside}</NewExternalIPAddress>` };
    // as real ones do: no protocol, no port
    if ((protocol !== "tcp" && protocol !== "udp") || !(port > 0)) return { fault: 402 };
    const key = keyOf({ protocol, outside: port });
    if (action === "DeletePortMapping") return drop(key) ? {} : { fault: 714 };
    if (action !== "AddPortMapping") return { fault: 401 };
    const lease = Number(value("NewLeaseDuration"));
    const client = value("NewInternalClient");
    if (client !== from || protocol === options.refuses) return { fault: 606 };
    if (options.onlyForEver && lease > 0) return { fault: 725 };
    if (isTaken(key, port, client)) return { fault: 718 };
    set({ protocol, outside: port, client, port: Number(value("NewInternalPort")), lease });
    return {};
  };
  const http = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const action = /#(\w+)"?$/.exec(String(request.headers.soapaction ?? ""))?.[1];
      asked.push(action ?? `${request.method} ${request.url}`);
      response.setHeader("content-type", 'text/xml; charset="utf-8"');
      if (request.method === "GET") {
        const control = lies.control ?? "/control";
        return response.end(
          lies.description ??
            `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:${igd}</deviceType><deviceList><device><deviceList><device><serviceList><service><serviceType>urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1</serviceType><controlURL>/common</controlURL></service><service><serviceType>${service}</serviceType><controlURL>${control}</controlURL></service></serviceList></device></deviceList></device></deviceList></device></root>`,
        );
      }
      const { fault, values = "" } = act(
        action ?? "",
        Buffer.concat(chunks).toString(),
        (request.socket.remoteAddress ?? "").replace("::ffff:", ""),
      );
      if (fault !== undefined) response.statusCode = 500;
      const inner =
        fault === undefined
          ? `<u:${action}Response xmlns:u="${service}">${values}</u:${action}Response>`
          : `<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>${fault}</errorCode></UPnPError></detail></s:Fault>`;
      response.end(
        lies.body ??
          `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>${inner}</s:Body></s:Envelope>`,
      );
    });
  });
  http.listen(0, address);
  await once(http, "listening");
  undo.defer(() => {
    http.closeAllConnections();
    http.close();
  });
  const { port } = http.address() as { port: number };
  const location = lies.location ?? `http://${address}:${port}/description.xml`;
  if (speaks.includes("upnp")) {
    const [own, all] = [await bound(ports.ssdp, address), await bound(ports.ssdp, group)];
    all.addMembership(group, address);
    const teller = lies.from === undefined ? own : await bound(0, lies.from);
    const answer = (question: Buffer, from: { address: string; port: number }) => {
      const type = /^ST: (.*)\r$/m.exec(question.toString())?.[1] ?? "";
      if (!question.toString().startsWith("M-SEARCH") || !type.endsWith(`InternetGatewayDevice:${igd}`)) return;
      const text = ["HTTP/1.1 200 OK", "CACHE-CONTROL: max-age=120", `ST: ${type}`, `Location: ${location}`, "EXT:", "", ""].join("\r\n");
      teller.send(text, from.port, from.address);
    };
    own.on("message", answer);
    all.on("message", answer);
  }
  const opened = undo.move();
  return { forwards, asked, location, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}
