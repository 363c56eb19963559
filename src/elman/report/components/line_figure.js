// The component of a report's chart of lines.

import { LineChart } from "./line_chart.js";

const BAND = 0.14; // how much of its colour a band has

export function mount(data, { title, link }) {
  const { lines, log, names, marks, spans: [xSpan, ySpan, whole], x, y } = data;
  const columns = [];
  const series = [];
  const bands = [];
  const add = (line, values, more) => {
    columns.push({ x: line.x, values });
    series.push({ label: line.name, colour: line.colour, dash: line.dash.length ? line.dash : undefined, number: line.number, ...more });
    return series.length;
  };
  const mains = lines.map((line) => add(line, line.y, { points: line.dots || line.x.length === 1 }));
  lines.forEach((line, index) => line.bands.forEach(({ low, high }) => {
    const ends = [high, low].map((values) => add(line, log[1] ? values.map((value) => Math.max(value, whole[0])) : values, { with: mains[index], width: 0, points: false }));
    if (line.bars) series[mains[index] - 1].bars = [ends[1], ends[0]];
    else bands.push({ between: ends, colour: line.colour, part: BAND });
  }));
  const chart = new LineChart({
    label: title, series, bands, log, names, marks, axes: [x, y], height: 300, drag: "xy", link: names.length ? link : null, shared: link,
    spans: () => ({ x: xSpan, y: ySpan }), limits: { y: whole },
  });
  chart.set(aligned(columns, log));
  return chart.element;
}

// One x for all lines: undefined where a line has no point, null where its point cannot be drawn.
function aligned(columns, [logX, logY]) {
  const every = [...new Set(columns.flatMap(({ x }) => [...x]))].filter((x) => Number.isFinite(x) && (x > 0 || !logX)).sort((a, b) => a - b);
  const places = new Map(every.map((x, index) => [x, index]));
  return [every, ...columns.map(({ x, values }) => {
    const line = new Array(every.length).fill(undefined);
    x.forEach((at, index) => {
      const value = values[index];
      if (places.has(at)) line[places.get(at)] = Number.isFinite(value) && (value > 0 || !logY) ? value : null;
    });
    return line;
  })];
}
