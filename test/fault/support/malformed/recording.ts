import type { ByteStream, FrameStream, Network, Topic } from "../../../../src/network/network.ts";

/** Where bytes of others come in, by name; and real messages that went there, from any node of this process. */
export type Place = { maxBytes: number } & (
  | { type: "topic"; topic: Topic<unknown> }
  | { type: "answer"; answer(question: Uint8Array, from: string): Promise<Uint8Array> }
  | { type: "frames"; handle(stream: FrameStream): Promise<void> }
  | { type: "bytes"; handle(stream: ByteStream): Promise<void> }
);

export const places = new Map<string, Place>();
const samples = new Map<string, Uint8Array[]>();
const mostSamples = 40;

export const samplesOf = (name: string): Uint8Array[] => samples.get(name) ?? [];
export function sample(name: string, bytes: Uint8Array): void {
  const list = samples.get(name) ?? [];
  samples.set(name, [...list, Uint8Array.from(bytes)].slice(-mostSamples));
}

const byteSample = 64 * 1024;

/** The first node whose network this is has its places kept; what all of them send is kept as samples. */
export function recorded(network: Network, isTarget: boolean): Network {
  const keep = (name: string, place: Place) => {
    if (isTarget) places.set(name, place);
  };
  return {
    ...network,
    subscribe: async <T>(topic: Topic<T>) => {
      keep(`topic ${topic.name}`, { type: "topic", maxBytes: topic.maxBytes, topic: topic as Topic<unknown> });
      return network.subscribe(topic);
    },
    publish: (topic, bytes) => {
      sample(`topic ${topic}`, bytes);
      return network.publish(topic, bytes);
    },
    answer: async (protocol, options, answer) => {
      keep(`question ${protocol}`, { type: "answer", maxBytes: options.maxQuestion, answer });
      return network.answer(protocol, options, answer);
    },
    ask: (peer, protocol, question, signal, options) => {
      sample(`question ${protocol}`, question);
      return network.ask(peer, protocol, question, signal, options);
    },
    handleFrames: async (protocol, options, handle) => {
      keep(`frames ${protocol}`, { type: "frames", maxBytes: options.maxFrame, handle });
      return network.handleFrames(protocol, options, handle);
    },
    openFrames: async (peer, protocol, signal, options) => {
      const stream = await network.openFrames(peer, protocol, signal, options);
      const send = (frame: Uint8Array) => {
        sample(`frames ${protocol}`, frame);
        return stream.send(frame);
      };
      return { ...stream, send };
    },
    handleBytes: async (protocol, handle) => {
      keep(`bytes ${protocol}`, { type: "bytes", maxBytes: byteSample, handle });
      return network.handleBytes(protocol, handle);
    },
    openBytes: async (peer, protocol, signal) => {
      const stream = await network.openBytes(peer, protocol, signal);
      const write = (bytes: Uint8Array) => {
        if (bytes.length < 2_000) sample(`bytes ${protocol}`, bytes);
        return stream.write(bytes);
      };
      return { ...stream, write };
    },
  };
}
