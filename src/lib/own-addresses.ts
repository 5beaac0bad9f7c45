import { networkInterfaces } from "node:os";

/** ours; and link-local ones, which lead nowhere */
const isOurs = /^myst[cfn]\d/;

/** The addresses by which this machine may reach others, without those of tunnels of ours, in one order. */
export const ownAddresses = (): string[] =>
  Object.entries(networkInterfaces())
    .flatMap(([name, addresses]) => (isOurs.test(name) ? [] : (addresses ?? [])))
    .filter(({ internal, address }) => !internal && !/^(fe80:|169\.254\.)/i.test(address))
    .map(({ address }) => address)
    .sort();
