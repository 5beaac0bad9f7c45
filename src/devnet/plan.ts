import { createSocket } from "node:dgram";

/** One exit of the devnet, as its operator would describe it on the command line. */
export type ExitPlan = {
  /** also the name of its data directory */
  name: string;
  country: string;
  /** in whole tokens, as a person writes them, without the unit */
  priceGib: string;
  priceHour: string;
  /** the loopback address that its clients' connections leave from, where everything is on loopback */
  egress: string;
  /** its address where it has a network namespace of its own */
  address: string;
};

export const exitPlans: readonly ExitPlan[] = [
  { name: "exit-us", country: "US", priceGib: "0.1", priceHour: "0.01", egress: "127.0.1.1", address: "23.20.16.2" },
  { name: "exit-de", country: "DE", priceGib: "0.08", priceHour: "0.02", egress: "127.0.1.2", address: "5.9.48.2" },
  { name: "exit-jp", country: "JP", priceGib: "0.12", priceHour: "0.01", egress: "127.0.1.3", address: "133.242.0.2" },
];

/** What everybody gets to begin with, and what payers put on deposit. In whole tokens. */
export const funding = { tokens: 100n, deposit: 10n, bond: 1n };

/** Linux has all of 127.0.0.0/8; macOS has 127.0.0.1 only, unless the others were configured. */
export const hasAddress = (address: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createSocket("udp4");
    const answer = (has: boolean) => {
      socket.close();
      resolve(has);
    };
    socket.once("error", () => answer(false));
    socket.bind(0, address, () => answer(true));
  });
