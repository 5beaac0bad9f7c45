import { isIPv4, isIPv6 } from "node:net";
import ipaddr from "ipaddr.js";
import { MystError } from "../lib/errors.ts";

/**
 * The exit policy: what an exit carries no traffic to. It judges addresses, after a name has been resolved, and the
 * address it has judged is the one that is dialled. By default only the public internet, without mail submission.
 */
export type Policy = {
  /** what the operator lets through although it would be refused; a rule with a port also lifts the port's refusal */
  allow: Rule[];
  /** what the operator refuses; goes before everything else */
  block: Rule[];
  /** ports at which no address is reached, but by a rule of `allow` that names the port */
  closedPorts: number[];
};

/** A range of addresses, on one port or on all. */
export type Rule = { range: [Address, number]; port: number | undefined };

export type Verdict = { ok: true /** dial exactly this */; address: string } | { ok: false; reason: Refusal };
export type Refusal = "no address" | "blocked by the operator" | "mail port" | "closed port" | "the exit itself" | "not a public address";

type Address = ReturnType<typeof ipaddr.parse>;

/** Mail submission and relay: what turns an exit into a source of spam. Closed unless the operator says otherwise. */
export const mailPorts = [25, 465, 587];

const ruleForms = "an address, an address with a port or a range, for example 127.0.0.1:8080, [::1]:80 or 10.0.0.0/8";

/**
 * "127.0.0.1:8080", "[::1]:80", "10.0.0.0/8", "fd00::/8", "192.0.2.1" or "2001:db8::1".
 * @throws BAD_VALUE for anything else: names are not taken, since what they mean is for others to say
 */
export function parseRule(text: string): Rule {
  const bad = () => new MystError("BAD_VALUE", `'${text.slice(0, 60)}' is no destination rule`, { hint: `write ${ruleForms}` });
  const match = /^(?:\[([0-9a-f:.]+)\]|([0-9a-f:.]+?))(?:\/(\d{1,3})|:(\d{1,5}))?$/i.exec(text.trim());
  // a bare IPv6 address must not lose its last group to the port
  const [host, bits, port] = isIPv6(text.trim()) ? [text.trim()] : [match?.[1] ?? match?.[2], match?.[3], match?.[4]];
  if (host === undefined || !isAddress(host)) throw bad();
  if (isIPv6(host) && port !== undefined && match?.[1] === undefined) throw bad();
  const address = ipaddr.parse(host);
  const width = address.kind() === "ipv4" ? 32 : 128;
  const length = bits === undefined ? width : Number(bits);
  const portNumber = port === undefined ? undefined : Number(port);
  if (length > width || (portNumber !== undefined && (portNumber < 1 || portNumber > 65_535))) throw bad();
  return { range: [address, length], port: portNumber };
}

/** What the operator writes of it; `closedPorts`: default `mailPorts`. */
export type PolicyText = { allow: string[]; block: string[]; closedPorts?: number[] };

/** @throws BAD_VALUE for the first rule that is none */
export const parsePolicy = ({ allow, block, closedPorts = mailPorts }: PolicyText): Policy => ({
  allow: allow.map(parseRule),
  block: block.map(parseRule),
  closedPorts: [...new Set(closedPorts)].sort((a, b) => a - b),
});

/** An IP address in its usual form: four decimal numbers, or IPv6 without a zone. */
export const isAddress = (text: string): boolean => isIPv4(text) || (isIPv6(text) && !text.includes("%"));

/** May an exit with the addresses `own` connect to this address and port? */
export function judge(policy: Policy, own: string[], address: string, port: number): Verdict {
  if (!isAddress(address)) return { ok: false, reason: "no address" };
  const target = ipaddr.process(address);
  const faces = facesOf(target);
  const ok: Verdict = { ok: true, address: target.toString() };
  if (faces.some((face) => policy.block.some((rule) => covers(rule, face, port)))) return { ok: false, reason: "blocked by the operator" };
  const allowed = policy.allow.filter((rule) => covers(rule, target, port));
  if (allowed.some((rule) => rule.port !== undefined)) return ok;
  if (policy.closedPorts.includes(port)) return { ok: false, reason: mailPorts.includes(port) ? "mail port" : "closed port" };
  if (allowed.length > 0) return ok;
  if (faces.some((face) => own.some((mine) => same(mine, face)))) return { ok: false, reason: "the exit itself" };
  return faces.every(isPublic) ? ok : { ok: false, reason: "not a public address" };
}

const nat64: [Address, number] = ipaddr.parseCIDR("64:ff9b::/96");
const globalUnicast: [Address, number] = ipaddr.parseCIDR("2000::/3");

/** The address, and the IPv4 address that a NAT64 gateway would make of it (RFC 6052). Mapped ones have been unwrapped before. */
const facesOf = (address: Address): Address[] =>
  within(address, nat64) ? [address, ipaddr.fromByteArray(address.toByteArray().slice(12))] : [address];

/**
 * ipaddr.js knows the special ranges of the IANA registries; of IPv6 only what has been given out for global use counts
 * besides. So 6to4, Teredo, NAT64 of local prefixes, and IPv4 in any other dress are not public.
 */
const isPublic = (address: Address): boolean => {
  if (within(address, nat64)) return true;
  if (address.range() !== "unicast") return false;
  return address.kind() === "ipv4" || (within(address, globalUnicast) && !isIsatap(address));
};

/** ISATAP (RFC 5214): an interface identifier of ::0:5efe:a.b.c.d or ::200:5efe:a.b.c.d, inside any prefix. */
const isIsatap = (address: Address): boolean => {
  const [a, b, c, d] = address.toByteArray().slice(8);
  return (a === 0 || a === 2) && b === 0 && c === 0x5e && d === 0xfe;
};

const within = (address: Address, range: [Address, number]): boolean => address.kind() === range[0].kind() && address.match(range);
const covers = (rule: Rule, address: Address, port: number): boolean =>
  within(address, rule.range) && (rule.port === undefined || rule.port === port);
const same = (mine: string, address: Address): boolean => isAddress(mine) && ipaddr.process(mine).toString() === address.toString();

/** One line for the offer. */
export const summary = (policy: Policy): string => {
  const closed = policy.closedPorts;
  const isMail = closed.join() === mailPorts.join();
  const ports = closed.length === 0 ? "all ports" : `${isMail ? "no mail ports" : "ports closed"} (${closed.join(", ")})`;
  const parts = ["public addresses only", ports];
  if (policy.block.length > 0) parts.push(`${policy.block.length} more blocked`);
  if (policy.allow.length > 0) parts.push(`${policy.allow.length} excepted`);
  return parts.join("; ");
};
