import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { openDatabases } from "../../../src/country/databases.ts";
import { isMystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";
import { mmdb } from "../../support/mmdb.ts";

describe("country/databases", (test, { before, after }) => {
  let directory = "";
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "mystnode-geoip-"));
  });
  after(() => rm(directory, { recursive: true }));
  const file = async (name: string, bytes: Buffer) => {
    await writeFile(join(directory, name), bytes);
    return join(directory, name);
  };
  const refused = (path: string, message: RegExp, hint: RegExp) =>
    assert.rejects(openDatabases([path]), (error: unknown) => {
      assert.ok(isMystError(error, "GEOIP_UNUSABLE"));
      assert.match(error.message, message);
      assert.match(error.hint ?? "", hint);
      return true;
    });

  test("each says where it has an address, in the forms that makers use; what one does not know it says nothing of", async () => {
    const one = await file(
      "one.mmdb",
      mmdb([
        ["192.0.2.0/24", { country: { iso_code: "US" }, registered_country: { iso_code: "DE" } }],
        ["198.51.100.0/24", { registered_country: { iso_code: "DE" } }],
      ]),
    );
    const two = await file(
      "two.mmdb",
      mmdb(
        [
          ["192.0.2.0/25", { country_code: "NL", asn: "AS64496" }],
          ["2001:db8::/32", { country: "JP" }],
        ],
        { ipVersion: 6 },
      ),
    );
    const three = await file("three.mmdb", mmdb([["192.0.0.0/16", { autonomous_system_number: 64_497 }]], { type: "Test-ASN" }));
    const databases = await openDatabases([one, two, three]);
    assert.deepEqual(databases.names, ["one.mmdb", "two.mmdb", "three.mmdb"]);
    assert.deepEqual(databases.locate("192.0.2.1"), [
      { database: "one.mmdb", address: "192.0.2.1", country: "US" },
      { database: "two.mmdb", address: "192.0.2.1", country: "NL" },
    ]);
    assert.deepEqual(databases.locate("192.0.2.200"), [{ database: "one.mmdb", address: "192.0.2.200", country: "US" }]);
    assert.deepEqual(databases.locate("198.51.100.1"), []);
    assert.equal(databases.asnOf("192.0.2.1"), 64_496);
    assert.equal(databases.asnOf("192.0.2.200"), 64_497);
    assert.deepEqual(databases.locate("2001:db8::1"), [{ database: "two.mmdb", address: "2001:db8::1", country: "JP" }]);
    assert.deepEqual(databases.locate("no address"), []);
  });

  test("an IPv6 address is not looked up in a database of IPv4, which would take its beginning for one of its own", async () => {
    const databases = await openDatabases([await file("v4.mmdb", mmdb([["32.1.0.0/16", { country_code: "US" }]]))]);
    assert.equal(databases.locate("32.1.2.3").length, 1);
    assert.deepEqual(databases.locate("2001:203::1"), []);
  });

  test("a country that is none counts as not known", async () => {
    const databases = await openDatabases([await file("odd.mmdb", mmdb([["192.0.2.0/24", { country_code: "\u001b[", asn: "AS1" }]]))]);
    assert.deepEqual(databases.locate("192.0.2.1"), []);
  });

  test("a file that is missing, unreadable, compressed, cut off or about something else is refused, with a remedy", async () => {
    const good = mmdb([["8.0.0.0/6", { country_code: "US" }]]);
    await refused(join(directory, "absent.mmdb"), /absent\.mmdb: there is no such file/, /check the path/);
    await refused(directory, /cannot be read/, /check that it is a file/);
    await refused(await file("packed.mmdb", gzipSync(good)), /compressed/, /gunzip/);
    await refused(await file("half.mmdb", good.subarray(0, good.length / 2)), /no whole \.mmdb/, /download it again/);
    await refused(await file("text.mmdb", Buffer.from("hello")), /no whole \.mmdb/, /GeoLite2/);
    const large = mmdb(Array.from({ length: 40 }, (_, n) => [`8.${n}.0.0/24`, { country_code: "US" }]));
    await refused(await file("end.mmdb", large.subarray(-600)), /no whole \.mmdb/, /download it again/);
    await refused(
      await file("other.mmdb", mmdb([["0.0.0.0/1", { domain: "example.org" }]], { type: "Test-Domain" })),
      /nothing of countries or networks \(it is of type 'Test-Domain'\)/,
      /GeoLite2/,
    );
  });
});
