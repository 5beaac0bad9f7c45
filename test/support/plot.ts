/** One quantity against one size, at a few of them; both axes are logarithmic, so what grows in proportion rises by 45 degrees times the ratio of the axes. */
export type Panel = { title: string; unit: string; points: readonly (readonly [size: number, value: number])[] };

const [width, height, left, top, right, bottom] = [360, 250, 64, 34, 14, 34];
const columns = 2;

/** 1,200,000 -> "1.2M" */
export function brief(value: number): string {
  const [power, name] = (
    [
      [1e9, "G"],
      [1e6, "M"],
      [1e3, "k"],
    ] as const
  ).find(([least]) => value >= least) ?? [1, ""];
  return `${Number((value / power).toPrecision(3))}${name}`;
}

const escaped = (text: string): string => text.replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`);

/** The least powers of ten around all of these, apart from one another. */
function decades(values: number[]): [number, number] {
  const low = Math.floor(Math.log10(Math.min(...values)));
  return [low, Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))))];
}

/**
 * Draws panels side by side, as SVG. A point that is not above 0 has no place on such an axis and is left out, a panel without points says so.
 * @param across what all sizes are of
 */
export function plotOf(title: string, across: string, panels: readonly Panel[]): string {
  const rows = Math.ceil(panels.length / columns);
  const head = 34;
  const parts = panels.map((panel, index) => drawn(panel, across, (index % columns) * width, head + Math.floor(index / columns) * height));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${columns * width} ${head + rows * height}" font-family="sans-serif" font-size="11" fill="#222">`,
    `<rect width="100%" height="100%" fill="#fff"/><text x="16" y="22" font-size="15">${escaped(title)}</text>`,
    ...parts,
    "</svg>\n",
  ].join("\n");
}

function drawn({ title, unit, points }: Panel, across: string, x: number, y: number): string {
  const good = points.filter(([size, value]) => size > 0 && value > 0 && Number.isFinite(value)).toSorted(([a], [b]) => a - b);
  const heading = `<text x="${left}" y="${top - 12}" font-size="12" font-weight="bold">${escaped(title)}, ${escaped(unit)}</text>`;
  if (good.length === 0) return `<g transform="translate(${x} ${y})">${heading}<text x="${left}" y="${top + 20}">not measured</text></g>`;
  const [fromX, toX] = decades(good.map(([size]) => size));
  const [fromY, toY] = decades(good.map(([, value]) => value));
  const [span, up] = [width - left - right, height - top - bottom];
  const atX = (size: number) => Math.round(10 * (left + ((Math.log10(size) - fromX) / (toX - fromX)) * span)) / 10;
  const atY = (value: number) => Math.round(10 * (top + up - ((Math.log10(value) - fromY) / (toY - fromY)) * up)) / 10;
  const powers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => 10 ** (from + index));
  const grid = [
    ...powers(fromX, toX).map(
      (at) =>
        `<path d="M${atX(at)} ${top}V${top + up}" stroke="#ddd"/><text x="${atX(at)}" y="${top + up + 14}" text-anchor="middle">${brief(at)}</text>`,
    ),
    ...powers(fromY, toY).map(
      (at) =>
        `<path d="M${left} ${atY(at)}H${left + span}" stroke="#ddd"/><text x="${left - 6}" y="${atY(at) + 4}" text-anchor="end">${brief(at)}</text>`,
    ),
  ];
  const line = `<polyline points="${good.map(([size, value]) => `${atX(size)},${atY(value)}`).join(" ")}" fill="none" stroke="#06c" stroke-width="1.5"/>`;
  const dots = good.map(
    ([size, value]) =>
      `<circle cx="${atX(size)}" cy="${atY(value)}" r="3" fill="#06c"/><text x="${atX(size)}" y="${atY(value) - 7}" text-anchor="middle">${brief(value)}</text>`,
  );
  const foot = `<text x="${left + span / 2}" y="${height - 6}" text-anchor="middle">${escaped(across)}</text>`;
  return `<g transform="translate(${x} ${y})">${[heading, ...grid, line, ...dots, foot].join("")}</g>`;
}
