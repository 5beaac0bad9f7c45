import { MystError } from "./errors.ts";

/** ISO 3166-1 alpha-2, the officially assigned codes. */
const codes =
  "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ " +
  "CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR " +
  "GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP " +
  "KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ " +
  "NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW " +
  "SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ " +
  "UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

const known = new Set(codes.split(" "));
/** what people type for a code that ISO gives another meaning or none */
const usual: Record<string, string> = { UK: "GB", EL: "GR", USA: "US", EN: "GB" };

export const isCountry = (code: string): boolean => known.has(code);

/**
 * "us" -> "US".
 * @throws BAD_COUNTRY for anything that is not an assigned ISO 3166-1 alpha-2 code
 */
export function parseCountry(text: string): string {
  const code = text.trim().toUpperCase();
  if (known.has(code)) return code;
  const meant = usual[code];
  throw new MystError("BAD_COUNTRY", `'${text.slice(0, 40)}' is not an ISO 3166-1 country code`, {
    hint: meant ? `did you mean '${meant}'?` : "use the two letters, for example US, DE or JP",
  });
}
