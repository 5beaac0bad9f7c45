import { connect } from "node:net";
import { MystError } from "../../lib/errors.ts";

const dnsPort = 53;

/**
 * How long the exit takes to answer from inside of the tunnel, ms: a connection to where it takes DNS questions, which its system
 * accepts. Nothing is asked, for an answer would say something of name servers.
 * @throws PEER_TIMEOUT when the signal fires, PEER_UNREACHABLE
 */
export function askInside(dns: string, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const beganMs = performance.now();
    const socket = connect({ host: dns, port: dnsPort });
    const end = () => {
      signal.removeEventListener("abort", late);
      socket.destroy();
    };
    const late = () => {
      end();
      reject(new MystError("PEER_TIMEOUT", "nothing came from inside of the tunnel in time"));
    };
    socket.once("connect", () => {
      end();
      resolve(performance.now() - beganMs);
    });
    socket.once("error", (cause) => {
      end();
      reject(new MystError("PEER_UNREACHABLE", "nothing comes from inside of the tunnel", { cause }));
    });
    signal.addEventListener("abort", late, { once: true });
    if (signal.aborted) late();
  });
}
