// Charts out of the tables beside them, with uPlot: the table holds every figure, the drawing adds none.
"use strict";

(() => {
  const DAY = 86_400;
  const HEIGHT = 220;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // A figure's table: its days as UTC seconds, and the values of each series; what is empty is a gap.
  const read = (table) => {
    const heads = [...table.tHead.rows[0].cells].slice(1);
    const rows = [...table.tBodies[0].rows];
    return {
      days: rows.map((row) => Date.parse(row.querySelector("time").dateTime) / 1000),
      series: heads.map((head, index) => ({
        name: head.textContent,
        colour: colour(head.dataset.series),
        values: rows.map((row) => {
          const value = row.cells[index + 1].dataset.value;
          return value === undefined ? null : Number(value);
        }),
      })),
    };
  };

  const axis = (more) => ({
    stroke: colour("fg-muted"),
    font: "12px Inter, system-ui, sans-serif",
    grid: { stroke: colour("border"), width: 1 },
    ticks: { show: false },
    ...more,
  });

  const date = (seconds) => new Date(seconds * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
  const count = (value) => value.toLocaleString("en-US");

  const options = (figure, width, unit, data) => ({
    width,
    height: HEIGHT,
    padding: [12, 8, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { show: figure.dataset.chart === "lines" } },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
    scales: {
      x: { range: (_, min, max) => [min - DAY / 2, max + DAY / 2] },
      y: { range: (_, min, max) => [0, Number(figure.dataset.max) || Math.max(1, max * 1.08)] },
    },
    axes: [
      axis({ grid: { show: false }, space: 52, incrs: [DAY, 2 * DAY, 7 * DAY], values: (_, ticks) => ticks.map(date) }),
      axis({ size: 56, incrs: unit ? undefined : [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6], values: (_, ticks) => ticks.map((tick) => count(tick) + unit) }),
    ],
    // Without a pointer on the chart, the legend speaks of the last day.
    hooks: {
      init: [(plot) => plot.setLegend({ idx: data[0].length - 1 })],
      setCursor: [(plot) => plot.cursor.idx == null && plot.setLegend({ idx: data[0].length - 1 })],
    },
  });

  const day = { label: "Day", value: (_, seconds) => (seconds == null ? "–" : date(seconds)) };

  const lines = (figure, { days, series }, width) => {
    const unit = figure.dataset.unit ?? "";
    const data = [days, ...series.map((one) => one.values)];
    return [
      {
        ...options(figure, width, unit, data),
        series: [
          day,
          ...series.map((one, index) => ({
            label: one.name,
            stroke: one.colour,
            width: 2.5,
            dash: [[], [7, 4], [2, 3]][index % 3],
            points: { size: 6, fill: one.colour },
            spanGaps: true,
            value: (_, value) => (value == null ? "–" : `${value.toFixed(1)}${unit}`),
          })),
        ],
      },
      data,
    ];
  };

  // Stacked: each series is drawn up to the sum of itself and those below it, the highest first.
  const bars = (figure, { days, series }, width) => {
    const sums = series.map((_, index) => days.map((_, place) => series.slice(0, index + 1).reduce((sum, one) => sum + one.values[place], 0)));
    const order = series.map((_, index) => index).reverse();
    const data = [days, ...order.map((index) => sums[index])];
    return [
      {
        ...options(figure, width, "", data),
        series: [
          day,
          ...order.map((index) => ({
            label: series[index].name,
            fill: series[index].colour,
            stroke: series[index].colour,
            width: 0,
            paths: uPlot.paths.bars({ size: [0.62, 44], radius: 0.12 }),
            points: { show: false },
            value: (_, __, ___, place) => (place == null ? "–" : count(series[index].values[place])),
          })),
        ],
      },
      data,
    ];
  };

  const draw = (figure) => {
    const place = figure.querySelector(".plot");
    place.replaceChildren();
    const width = place.clientWidth;
    if (width > 0) {
      const [settings, data] = { lines, bars }[figure.dataset.chart](figure, read(figure.querySelector("table")), width);
      new uPlot(settings, data, place);
    }
  };

  const drawAll = () => document.querySelectorAll("figure.chart").forEach(draw);

  document.addEventListener("fresh", drawAll);
  document.addEventListener("theme", drawAll);
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 150);
  });
})();
