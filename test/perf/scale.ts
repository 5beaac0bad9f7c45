import { plotOf } from "../support/plot.ts";
import { type Figure, type Measurement, percentile } from "../support/report.ts";
import { measureScale, type ScaleFound } from "./support/scale/market.ts";
import { measureOffers, type OffersFound } from "./support/scale/offers.ts";

const peers = [100, 300, 1_000, 3_000, 10_000];
const offers = [100, 1_000, 10_000];
/** few, for each peer checks each offer: what it costs goes by their number, and is told for one */
const exits = 5;
const windowMs = 75_000;

const lower = (name: string, value: number, unit: string): Figure => ({ name, value, unit, better: "lower" });

const figuresOfPeers = (count: number, found: ScaleFound): Figure[] => [
  lower(`bytesPerOfferOf${count}`, found.bytesPerOffer, "bytes"),
  lower(`otherBytesPerHourOf${count}`, found.otherBytesPerHour, "bytes"),
  lower(`dialsPerHourOf${count}`, found.dialsPerHour, ""),
  lower(`cpuPerOfferOf${count}`, found.cpuMsPerOffer, "ms"),
  lower(`heapPerPeerOf${count}`, found.heapBytes, "bytes"),
  lower(`copiesOf${count}`, found.copies, ""),
  lower(`connectionsOf${count}`, found.links, ""),
  lower(`mostConnectionsOf${count}`, found.mostLinks, ""),
  { name: `heardShareOf${count}`, value: found.heardShare, unit: "", better: "higher", target: 0.99 },
  lower(`heardP50Of${count}`, percentile(found.heardMs, 0.5), "ms, virtual"),
  lower(`heardP95Of${count}`, percentile(found.heardMs, 0.95), "ms, virtual"),
  lower(`questionsOfNewcomerOf${count}`, found.asked, ""),
  lower(`coldFindMaxOf${count}`, percentile(found.coldMs, 1), "ms, virtual"),
];

const figuresOfOffers = (count: number, found: OffersFound): Figure[] => [
  lower(`snapshotBytesOf${count}Offers`, found.wireBytes * found.held, "bytes"),
  lower(`digestBytesOf${count}Offers`, found.digestBytes * found.held, "bytes"),
  lower(`heapPerOfferOf${count}Offers`, found.heapBytes, "bytes"),
  { ...lower(`takePerOfferOf${count}Offers`, found.takeUs, "us"), beside: { name: "its signature alone", value: found.recoverUs } },
  lower(`listMsOf${count}Offers`, found.listMs, "ms"),
];

/** What is drawn: the figures of that name at each size that was reached. */
const drawn = [
  { name: "bytesPerOffer", title: "of one peer for an offer announced once", unit: "bytes" },
  { name: "otherBytesPerHour", title: "of one peer, questions and DHT", unit: "bytes an hour" },
  { name: "cpuPerOffer", title: "of one peer for an offer announced once", unit: "ms of a core" },
  { name: "heapPerPeer", title: "of one peer on the heap", unit: "bytes" },
  { name: "connections", title: "connections of a peer", unit: "mean" },
  { name: "heardP95", title: "until a peer knows an offer, p95", unit: "ms, virtual" },
];

/** Also used by its test. */
export function plotOfScale(figures: Figure[]): string {
  const at = (name: string) =>
    peers.flatMap((count) => figures.flatMap((one) => (one.name === `${name}Of${count}` ? [[count, one.value] as const] : [])));
  const panels = drawn.map(({ name, title, unit }) => ({ title, unit, points: at(name) }));
  return plotOf("What one peer costs as the network grows (npm run bench -- scale)", "peers", panels);
}

const scale: Measurement = {
  about:
    "what one peer costs as the network grows: bytes, CPU and memory of each of 100 to 10,000 peers in memory and virtual time, and of 100, 1,000 and 10,000 offers",
  runs: 5,
  // in virtual time
  blocksLoop: true,
  plot: plotOfScale,
  run: async ({ runs, log, signal, recorded }) => {
    const figures: Figure[] = [];
    let tried = 0;
    for (const count of offers) figures.push(...figuresOfOffers(count, await measureOffers(count)));
    for (const count of peers) {
      if (signal.aborted) break;
      const options = { peers: count, exits, windowMs, followed: runs, tries: runs };
      const [found] = await recorded.each(`peers${count}`, 1, signal, () => measureScale(options, signal, log));
      if (!found) continue;
      figures.push(...figuresOfPeers(count, found));
      tried += runs;
      log(`${count} peers: an offer costs each ${Math.round(found.bytesPerOffer)} bytes and ${found.cpuMsPerOffer.toFixed(2)} ms`);
    }
    return { runs: tried, failures: 0, figures, tried: { followed: tried, searches: tried } };
  },
};

export default scale;
