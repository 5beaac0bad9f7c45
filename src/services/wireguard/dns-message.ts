/** As much of RFC 1035 as it takes to pass messages on: the header, and one question. */
export const headerBytes = 12;
/** of a question: EDNS and a long name fit */
export const maxQuestionBytes = 1_232;
const maxNameBytes = 255;

export type Question = {
  id: number;
  /** type, class and name, in one spelling: names are compared without case */
  key: string;
  /** how many bytes of the message header and question take */
  length: number;
};

const isAnswer = (message: Uint8Array): boolean => ((message[2] ?? 0) & 0x80) !== 0;
const at16 = (message: Uint8Array, offset: number): number => ((message[offset] ?? 0) << 8) | (message[offset + 1] ?? 0);

/** The one question that a message asks or answers; undefined for anything else. */
export function questionOf(message: Uint8Array, kind: "query" | "answer"): Question | undefined {
  if (message.length < headerBytes || isAnswer(message) !== (kind === "answer")) return undefined;
  if (at16(message, 4) !== 1) return undefined;
  let at = headerBytes;
  for (;;) {
    const label = message[at];
    // a question's name is the first in the message: there is nothing that it could point to
    if (label === undefined || label > 63) return undefined;
    at += 1 + label;
    if (label === 0) break;
    if (at - headerBytes > maxNameBytes) return undefined;
  }
  if (at + 4 > message.length) return undefined;
  const text = Buffer.from(message.subarray(headerBytes, at + 4));
  const name = text.subarray(0, -4).toString("latin1").toLowerCase();
  return { id: at16(message, 0), key: `${name}${text.subarray(-4).toString("hex")}`, length: at + 4 };
}

/** The same message under another id. */
export function withId(message: Uint8Array, id: number): Uint8Array {
  const copy = Uint8Array.from(message);
  copy[0] = id >> 8;
  copy[1] = id & 0xff;
  return copy;
}

/** SERVFAIL for a query, with its question: the client need not wait until it gives up. */
export function failureFor(query: Uint8Array, { length }: Question): Uint8Array {
  const answer = Uint8Array.from(query.subarray(0, length));
  answer[2] = 0x80 | ((answer[2] ?? 0) & 0x79);
  answer[3] = 0x82;
  answer.fill(0, 6, headerBytes);
  return answer;
}

/** `nameserver` lines of resolv.conf(5), at most three, as the C library has it. */
export const nameServers = (text: string): string[] =>
  text
    .split("\n")
    .flatMap((line) => /^\s*nameserver\s+([0-9a-fA-F:.]+)/.exec(line)?.[1] ?? [])
    .slice(0, 3);
