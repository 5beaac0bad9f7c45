/**
 * The devnet's side of the internet, as a process: `target.ts ADDRESS ADDRESS6` is the web site `site.devnet` (`site6.devnet` by IPv6) on
 * port 80, and the resolver that knows it, on port 53, where `caller.devnet` is whoever asks. It says `ready` once it is, and ends when its standard input does.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { answerQuery, type Zone } from "../netns/names.ts";
import { startWebServer } from "../web-server.ts";

const [address = "", address6 = ""] = process.argv.slice(2);
const zone: Zone = { "site.devnet": { a: address }, "site6.devnet": { aaaa: address6 }, "caller.devnet": "caller" };

const resolver = createSocket("udp4");
resolver.on("message", (query, { address: caller, port }) => {
  const answer = answerQuery(query, zone, caller);
  if (answer) resolver.send(answer, port, caller);
});
// one answer that cannot be sent is no reason to end
resolver.on("error", () => undefined);
resolver.bind(53, address);
await once(resolver, "listening");
await Promise.all([startWebServer({ host: address, port: 80 }), startWebServer({ host: address6, port: 80 })]);
process.stdout.write("ready\n");
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
