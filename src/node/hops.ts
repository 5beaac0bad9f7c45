import { MystError } from "../lib/errors.ts";
import type { ConnectOptions } from "./types.ts";

/** @throws BAD_VALUE for two hops of what is no tunnel */
export function checkHops({ hops, service }: Pick<ConnectOptions, "hops" | "service">): void {
  if (hops === 2 && service !== "wireguard")
    throw new MystError("BAD_VALUE", "two hops are for tunnels: a proxy goes out by one exit", {
      hint: "run it as root with --service wireguard, or leave --hops out",
    });
}
