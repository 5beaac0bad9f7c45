import { execFileSync } from "node:child_process";

/** One transaction of nft's on the router, which is this process's own namespace. */
export const nftHere = (input: string): void => void execFileSync("nft", ["-f", "-"], { input, stdio: ["pipe", "pipe", "pipe"] });
