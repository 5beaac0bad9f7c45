import { MystError } from "./errors.ts";

/** Times of the week in which something is open: minutes since Monday 0:00, `to` not included; one over the week's end has `to` beyond it. */
export type Schedule = { from: number; to: number }[];

const days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const dayMinutes = 24 * 60;
const weekMinutes = 7 * dayMinutes;
const pattern = /^(?:([a-z]{3})(?:-([a-z]{3}))?)?(?:(?:^| +)(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2}))?$/i;

/**
 * One entry: "mon-fri 18:00-23:30", "22:00-06:00" (each day, over midnight), "sat-sun" (all day), "sun 20:00-24:00".
 * @throws BAD_VALUE
 */
export function parseSchedule(text: string): Schedule {
  const bad = () =>
    new MystError("BAD_VALUE", `'${text.slice(0, 60)}' is no time of the week`, {
      hint: "write it like 'mon-fri 18:00-23:30', '22:00-06:00' or 'sat-sun'",
    });
  const [, first, last = first, fromHour, fromMinute, toHour, toMinute] = pattern.exec(text.trim().toLowerCase()) ?? [];
  if (first === undefined && fromHour === undefined) throw bad();
  const [begin, end] = [first ?? "mon", last ?? "sun"].map((day) => days.indexOf(day)) as [number, number];
  const timeOf = (hour = "0", minute = "0") => {
    const time = Number(hour) * 60 + Number(minute);
    if (Number(minute) > 59 || time > dayMinutes) throw bad();
    return time;
  };
  const [from, until] = fromHour === undefined ? [0, dayMinutes] : [timeOf(fromHour, fromMinute), timeOf(toHour, toMinute)];
  if (begin < 0 || end < 0 || from === until || from === dayMinutes) throw bad();
  const to = until > from ? until : until + dayMinutes;
  const count = ((end - begin + 7) % 7) + 1;
  return Array.from({ length: count }, (_, i) => {
    const day = ((begin + i) % 7) * dayMinutes;
    return { from: day + from, to: day + to };
  });
}

/** By this machine's own time zone; a clock that is put back or forward for summer is what it is. */
export const minuteOfWeek = (ms: number): number => {
  const date = new Date(ms);
  return ((date.getDay() + 6) % 7) * dayMinutes + date.getHours() * 60 + date.getMinutes();
};

/** @param minute of the week */
export const isOpen = (schedule: Schedule, minute: number): boolean =>
  schedule.some(({ from, to }) => (minute >= from && minute < to) || (minute + weekMinutes >= from && minute + weekMinutes < to));

/** The minute of the week at which it opens next. */
export function opensAt(schedule: Schedule, minute: number): number {
  const waits = schedule.map(({ from }) => (from - minute + weekMinutes) % weekMinutes);
  return (minute + Math.min(...waits)) % weekMinutes;
}

/** "Mon 18:00" */
export function minuteText(minute: number): string {
  const day = days[Math.floor(minute / dayMinutes) % 7] ?? "";
  const two = (number: number) => String(number).padStart(2, "0");
  return `${day.charAt(0).toUpperCase()}${day.slice(1)} ${two(Math.floor((minute % dayMinutes) / 60))}:${two(minute % 60)}`;
}
