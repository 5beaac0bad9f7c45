import assert from "node:assert/strict";
import fc from "fast-check";
import { answerQuery, type Zone } from "../../../../src/devnet/netns/names.ts";
import { describe } from "../../../support/harness.ts";

const zone: Zone = { "site.devnet": { a: "151.101.65.2" }, "site6.devnet": { aaaa: "2600:1f18:4000:7::2" }, "caller.devnet": "caller" };
const caller = "23.20.16.2";

/** a question as a resolver asks it: id 0x1234, recursion desired, class IN */
function question(name: string, type: number): Buffer {
  const labels = name.split(".").map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  return Buffer.concat([Buffer.from("123401000001000000000000", "hex"), ...labels, Buffer.from([0, 0, type, 0, 1])]);
}
const ask = (name: string, type = 1) => answerQuery(question(name, type), zone, caller);
/** id, flags, number of answers, data of the last record */
const read = (answer: Buffer | undefined, length: number) => {
  assert.ok(answer);
  return {
    id: answer.readUInt16BE(0),
    flags: answer.readUInt16BE(2),
    answers: answer.readUInt16BE(6),
    data: [...answer.subarray(-length)],
  };
};

describe("devnet/netns/names: a resolver for a handful of names", (test) => {
  test("addresses of both families, in any case of letters", () => {
    assert.deepEqual(read(ask("site.devnet"), 4), { id: 0x1234, flags: 0x8580, answers: 1, data: [151, 101, 65, 2] });
    assert.deepEqual(read(ask("SITE.devnet"), 4).data, [151, 101, 65, 2]);
    assert.equal(Buffer.from(read(ask("site6.devnet", 28), 16).data).toString("hex"), "26001f18400000070000000000000002");
  });

  test("a name that tells who asks", () => assert.deepEqual(read(ask("caller.devnet"), 4).data, [23, 20, 16, 2]));

  test("a name without that record has no answer, one that there is not does not exist", () => {
    assert.deepEqual(
      { ...read(ask("site.devnet", 28), 0) },
      { id: 0x1234, flags: 0x8580, answers: 0, data: [...(ask("site.devnet", 28) ?? [])] },
    );
    assert.equal(read(ask("elsewhere.devnet"), 4).flags, 0x8583);
    assert.equal(read(ask("constructor"), 4).flags, 0x8583);
  });

  test("what is no question gets no answer, whatever it is", () => {
    const response = question("site.devnet", 1);
    response.writeUInt16BE(0x8100, 2);
    const cut = question("site.devnet", 1).subarray(0, 20);
    for (const bytes of [response, cut, Buffer.alloc(0), Buffer.alloc(600)]) assert.equal(answerQuery(bytes, zone, caller), undefined);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        const answer = answerQuery(bytes, zone, caller);
        // never more than what was asked, and one record
        assert.ok(answer === undefined || answer.length <= bytes.length + 28);
      }),
    );
  });
});
