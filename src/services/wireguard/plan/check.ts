import { isIPv4 } from "node:net";
import { MystError } from "../../../lib/errors.ts";

/**
 * What goes into a plan's text passes through here first, whoever has checked it before: a plan is run as root, and a name with a
 * line break or a brace in it would be another plan.
 */
const refuse = (what: string, value: unknown, hint: string): never => {
  throw new MystError("BAD_VALUE", `'${String(value).slice(0, 40)}' is no ${what}`, { hint });
};

/** @throws BAD_VALUE unless it is a name that Linux takes for an interface and that no tool takes for anything else */
export const checkIfname = (name: string): string =>
  /^[a-zA-Z][a-zA-Z0-9_.-]{0,14}$/.test(name)
    ? name
    : refuse("interface name", name, "use a name that 'ip link' prints, at most 15 characters");

/** @throws BAD_VALUE unless it is an IPv4 address of four decimal numbers */
export const checkIPv4 = (address: string): string =>
  typeof address === "string" && isIPv4(address)
    ? address
    : refuse("IPv4 address", address, "write four decimal numbers, for example 192.0.2.1");

/** @throws BAD_VALUE unless `min <= value <= max`, in whole numbers */
export const checkNumber = (what: string, value: number, min: number, max: number): number =>
  Number.isInteger(value) && value >= min && value <= max ? value : refuse(what, value, `use a whole number from ${min} to ${max}`);

export const checkPort = (port: number): number => checkNumber("port", port, 1, 65_535);
/** The least is what every IPv4 host takes (RFC 791), the most what an interface takes. */
export const checkMtu = (mtu: number): number => checkNumber("MTU", mtu, 576, 65_535);
/** The last is "no user" to the kernel. */
export const checkUid = (uid: number): number => checkNumber("user id", uid, 0, 0xff_ff_ff_fe);

/** @throws BAD_VALUE unless it is one of `known`, which also narrows its type */
export const checkOneOf = <T extends string>(what: string, value: string, known: readonly T[]): T =>
  known.find((one) => one === value) ?? refuse(what, value, `use one of ${known.join(", ")}`);
