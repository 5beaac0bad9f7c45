import { spawn } from "node:child_process";
import { MystError } from "../../../lib/errors.ts";

/** Where the tools are, whatever PATH we were called with: sudo and cron leave out the sbin directories. */
export const toolPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** the Debian package of each tool; other distributions name them alike */
const packages: Record<string, string> = {
  wg: "wireguard-tools",
  "wireguard-go": "wireguard-go",
  ip: "iproute2",
  tc: "iproute2",
  nft: "nftables",
  sysctl: "procps",
  conntrack: "conntrack",
};

export type ToolOptions = {
  /** written to its standard input: secrets and everything long go this way, never as arguments */
  input?: string;
  /** for tools that open /dev/stdin by name, which Linux refuses for the sockets that Node makes: hands it on through a real pipe */
  byName?: boolean;
  /** default 5 s; then it is killed */
  timeoutMs?: number;
};

/**
 * Runs one of the system's tools to its end and resolves with what it printed.
 * @throws TOOL_MISSING when it is not installed, INTERNAL with its last error line when it fails. Neither holds its input.
 */
export function runTool(tool: string, args: string[], { input = "", byName = false, timeoutMs = 5000 }: ToolOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const [program, rest] = byName ? ["sh", ["-c", 'cat | "$0" "$@"', tool, ...args]] : [tool, args];
    const child = spawn(program, rest, { env: { PATH: toolPath, LC_ALL: "C" }, stdio: ["pipe", "pipe", "pipe"] });
    let output = "";
    let errors = "";
    const late = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
    });
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      errors = (errors + chunk).slice(-2000);
    });
    child.stdin.on("error", () => undefined);
    child.once("error", (cause: NodeJS.ErrnoException) => {
      clearTimeout(late);
      reject(cause.code === "ENOENT" ? toolMissing(tool) : new MystError("INTERNAL", `cannot run ${tool}`, { cause }));
    });
    child.once("close", (status, signal) => {
      clearTimeout(late);
      if (status === 0) resolve(output);
      else if (byName && status === 127) reject(toolMissing(tool));
      else reject(new MystError("INTERNAL", `${tool} failed (${signal ?? status}): ${errors.trim().split("\n")[0]}`.slice(0, 300)));
    });
    child.stdin.end(input);
  });
}

export const toolMissing = (...tools: string[]): MystError =>
  new MystError("TOOL_MISSING", `${tools.join(", ")} ${tools.length > 1 ? "are" : "is"} not installed`, {
    hint: `install ${[...new Set(tools.map((tool) => packages[tool] ?? tool))].join(" ")} with your system's package manager`,
  });
