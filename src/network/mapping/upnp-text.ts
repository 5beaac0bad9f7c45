import { parseXml, XmlElement } from "@rgrove/parse-xml";
import { MystError } from "../../lib/errors.ts";

/** Services of a gateway that map ports (UPnP IGD 1 and 2), those first that we would rather have. */
export const mappingServices = ["WANIPConnection:2", "WANIPConnection:1", "WANPPPConnection:1"].map(
  (name) => `urn:schemas-upnp-org:service:${name}`,
);
/** What is asked for on the local network; a gateway of the second kind answers to the first, too, or should. */
export const gatewayTypes = ["InternetGatewayDevice:1", "InternetGatewayDevice:2"].map((name) => `urn:schemas-upnp-org:device:${name}`);

export type Service = { type: string; control: URL };

/** SSDP (UPnP Device Architecture 1.1, 1.3.2). */
export const searchFor = (type: string): Buffer =>
  Buffer.from(
    ["M-SEARCH * HTTP/1.1", "HOST: 239.255.255.250:1900", 'MAN: "ssdp:discover"', "MX: 1", `ST: ${type}`, "", ""].join("\r\n"),
    "latin1",
  );

/** Where the gateway that has answered describes itself: at itself, by HTTP, or it is not listened to. */
export function locationIn(answer: Buffer, gateway: string): URL | undefined {
  const [first = "", ...headers] = answer.toString("latin1").split("\r\n");
  if (!/^HTTP\/1\.[01] 200\b/.test(first)) return undefined;
  const location = headers.flatMap((header) => /^location:\s*(\S+)\s*$/i.exec(header)?.[1] ?? []);
  return location[0] === undefined ? undefined : placeAt(location[0], undefined, gateway);
}

/** The place, when it is the gateway's own. Whoever answers must not have us ask, or command, anybody else. */
function placeAt(text: string, base: URL | undefined, gateway: string): URL | undefined {
  const url = URL.canParse(text, base?.href) ? new URL(text, base?.href) : undefined;
  return url?.protocol === "http:" && url.hostname === gateway && url.username === "" ? url : undefined;
}

/** What a description needs is some ten deep; what is nested deeper, at the cost of each level, is not looked at. */
const maxDepth = 16;

/** Elements of that name, with or without a prefix, in an element and what is in it. */
function* named(within: XmlElement, name: string, depth = 0): Generator<XmlElement> {
  if (depth === maxDepth) return;
  for (const child of within.children) {
    if (!(child instanceof XmlElement)) continue;
    if (child.name.slice(child.name.indexOf(":") + 1) === name) yield child;
    yield* named(child, name, depth + 1);
  }
}
function textOf(within: XmlElement, name: string): string | undefined {
  for (const element of named(within, name)) return element.text.trim();
  return undefined;
}

/** @throws MALFORMED for what is no XML, or nested too deep */
function read(xml: string): XmlElement {
  try {
    const { root } = parseXml(xml.replaceAll("\0", "").trim());
    if (root) return root;
  } catch (cause) {
    throw new MystError("MALFORMED", "the router has answered what is no XML", { cause });
  }
  throw new MystError("MALFORMED", "the router has answered nothing");
}

/** The service by which the gateway maps ports, of those in its description. @throws MALFORMED, PEER_REFUSED when it has none */
export function serviceIn(xml: string, location: URL, gateway: string): Service {
  const root = read(xml);
  const given = textOf(root, "URLBase");
  const base = given === undefined || given === "" ? location : placeAt(given, location, gateway);
  const services = [...named(root, "service")].flatMap((one) => {
    const type = textOf(one, "serviceType");
    const control = base && placeAt(textOf(one, "controlURL") ?? "", base, gateway);
    return type !== undefined && control && mappingServices.includes(type) ? [{ type, control }] : [];
  });
  const [best] = services.sort((a, b) => mappingServices.indexOf(a.type) - mappingServices.indexOf(b.type));
  if (!best) throw new MystError("PEER_REFUSED", "the router maps no ports by UPnP");
  return best;
}

/** A call of an action. Names are ours; values are numbers and addresses, so nothing has to be escaped. */
export const callOf = (type: string, action: string, args: [name: string, value: string | number][]): string =>
  `<?xml version="1.0"?>\r\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:${action} xmlns:u="${type}">${args
    .map(([name, value]) => `<${name}>${value}</${name}>`)
    .join("")}</u:${action}></s:Body></s:Envelope>\r\n`;

/** One value of what an action has answered. @throws MALFORMED, PEER_REFUSED with the fault's `meta.fault` */
export function valueIn(xml: string, name: string): string {
  const root = read(xml);
  const fault = textOf(root, "errorCode");
  if (fault !== undefined && /^\d{1,5}$/.test(fault))
    throw new MystError("PEER_REFUSED", `the router refuses by UPnP: error ${fault}`, { meta: { fault: Number(fault) } });
  const value = textOf(root, name);
  if (value === undefined) throw new MystError("MALFORMED", `the router has not answered ${name}`);
  return value;
}
