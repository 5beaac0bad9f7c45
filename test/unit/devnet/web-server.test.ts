import assert from "node:assert/strict";
import { visit } from "../../../src/devnet/visit.ts";
import { startWebServer } from "../../../src/devnet/web-server.ts";
import { describe } from "../../support/harness.ts";

describe("devnet/web-server: a site that names its callers", (test) => {
  test("tells the caller's address, in the body and as a header", async () => {
    await using web = await startWebServer();
    const response = await fetch(web.url);
    assert.equal(await response.text(), "127.0.0.1\n");
    assert.equal(response.headers.get("x-caller-address"), "127.0.0.1");
    assert.equal((await visit(web.url)).caller, "127.0.0.1");
  });

  test("gives as many bytes as asked for, and no more than a bound", async () => {
    await using web = await startWebServer();
    for (const n of [0, 1, 65_536, 1_000_001]) assert.equal((await visit(`${web.url}/bytes?n=${n}`)).bytes, n);
    for (const n of ["", "-1", "x", "1e3", "99999999999", String((1 << 30) + 1)])
      assert.equal((await fetch(`${web.url}/bytes?n=${n}`)).status, 400, n);
    assert.equal((await fetch(`${web.url}/other`)).status, 404);
  });

  test("a caller that leaves in the middle does it no harm, and it stops at once under a download", async () => {
    await using web = await startWebServer();
    const left = new AbortController();
    await assert.rejects(visit(`${web.url}/bytes?n=${1 << 30}`, { signal: left.signal, onBytes: () => left.abort() }));
    const cut = visit(`${web.url}/bytes?n=${1 << 30}`, { onBytes: () => void web.stop() });
    await assert.rejects(cut);
  });
});
