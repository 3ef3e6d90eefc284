"use strict";
// Accuracy against one cost, drawn by Chart.js.

const MARKS = ["circle", "rect", "triangle", "rectRot", "star", "cross", "crossRot"];

class Plot {
  constructor(canvas, files, metric) {
    this.files = files;
    this.metric = metric;
    this.structures = [...new Set(files.map((file) => file.structure))];
    this.precisions = [...new Set(files.map((file) => file.precision))];
    const bars = { id: "bars", beforeDatasetsDraw: () => this.drawBars(), afterDatasetsDraw: () => this.drawLabels() };
    this.chart = new Chart(canvas, { type: "scatter", data: { datasets: [] }, options: this.options(), plugins: [bars] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw(this.state));
    document.fonts.ready.then(() => this.chart.update());
  }

  options() {
    return {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "nearest", intersect: true },
      plugins: {
        legend: { display: false },
        tooltip: { callbacks: { title: () => "", label: (item) => this.label(item) } },
      },
      scales: {
        x: { type: "logarithmic", title: { display: true }, afterBuildTicks: onlyRound },
        y: { title: { display: true, text: this.metric.heading } },
      },
    };
  }

  label({ raw }) {
    const { measure } = this.state;
    const within = raw.file?.interval ? ` (${percents(raw.file.interval)})` : "";
    return raw.file
      ? [
          raw.file.path.split("/").pop(),
          `${scoreText(raw.file.score, this.metric)} ${this.metric.column}${within}, ${inUnits(raw.file.costs[measure.key], measure)}`,
        ]
      : `budget: ${inUnits(raw.x, measure)}`;
  }

  // The state: measure, precision, budget in the cost's own units, and the chosen file, if there is one.
  draw(state) {
    this.state = state;
    const colour = (name) => this.colour(name);
    const shown = this.files.filter(
      (file) =>
        file.score !== null &&
        file.costs[state.measure.key] !== undefined &&
        (!state.precision || file.precision === state.precision),
    );
    const { chart } = this;
    chart.data.datasets = [
      this.ring(state, colour("text")),
      this.marks(shown, colour),
      this.front(state, colour("edge")),
    ];
    this.scale(shown, colour);
    chart.data.datasets.push(this.limit(state, colour("accent")));
    chart.update();
  }

  // What the figure shows, in words.
  description() {
    const { measure, precision } = this.state;
    const line = front(this.files, this.state).filter((file) => file.score !== null);
    if (!line.length) return "No file that passed its checks was measured.";
    const told = (file) => `${file.label} ${file.precision} with ${scoreText(file.score, this.metric, 1)} at ${inUnits(file.costs[measure.key], measure)}`;
    const kind = precision ? `${precision} files` : "files";
    const ends = line.length > 1 ? `from ${told(line[0])} to ${told(line.at(-1))}` : told(line[0]);
    const bars = this.metric.intervals ? "; the bars are 95 % intervals" : "";
    return `${this.metric.title} of the ${kind} against ${measure.label.toLowerCase()}${bars}. On the front: ${line.length}, ${ends}.`;
  }

  // One line for each interval, behind the marks.
  drawBars() {
    if (!this.state) return; // Chart.js draws once by itself while it is made.
    const { ctx, scales, chartArea } = this.chart;
    const files = this.chart.data.datasets.find(({ label }) => label === "files");
    const within = (y) => Math.min(chartArea.bottom, Math.max(chartArea.top, y));
    ctx.save();
    files.data.forEach(({ x, file }, index) => {
      if (!file.interval) return;
      const [low, high] = file.interval.map((end) => within(scales.y.getPixelForValue(this.metric.factor * end)));
      const place = scales.x.getPixelForValue(x);
      ctx.strokeStyle = files.pointBorderColor[index];
      ctx.globalAlpha = 0.55;
      ctx.lineWidth = 1.5;
      ctx.beginPath();
      for (const [left, y] of [[4, low], [4, high]]) {
        ctx.moveTo(place - left, y);
        ctx.lineTo(place + left, y);
      }
      ctx.moveTo(place, low);
      ctx.lineTo(place, high);
      ctx.stroke();
    });
    ctx.restore();
  }

  // The names of the files on the front, where they do not cover each other.
  drawLabels() {
    if (!this.state) return;
    const { ctx, scales, chartArea } = this.chart;
    const taken = [];
    ctx.save();
    ctx.font = "12px system-ui, sans-serif";
    ctx.fillStyle = this.colour("text");
    ctx.strokeStyle = this.colour("page");
    ctx.lineWidth = 3;
    for (const file of front(this.files, this.state).filter((each) => each.score !== null)) {
      const width = ctx.measureText(file.label).width;
      const x = Math.min(chartArea.right - width, scales.x.getPixelForValue(file.costs[this.state.measure.key]) + 9);
      const y = Math.max(chartArea.top + 12, scales.y.getPixelForValue(this.metric.factor * file.score) - 9);
      if (taken.some((other) => Math.abs(other.y - y) < 13 && x < other.x + other.width + 4 && other.x < x + width + 4)) continue;
      ctx.strokeText(file.label, x, y);
      ctx.fillText(file.label, x, y);
      taken.push({ x, y, width });
    }
    ctx.restore();
  }

  colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  point(file) {
    return { x: file.costs[this.state.measure.key], y: this.metric.factor * file.score, file };
  }

  marks(shown, colour) {
    const series = shown.map((file) => colour(`series-${this.structures.indexOf(file.structure) % 8}`));
    return {
      label: "files",
      data: shown.map((file) => this.point(file)),
      pointStyle: shown.map((file) => MARKS[this.precisions.indexOf(file.precision) % MARKS.length]),
      pointRadius: 6,
      pointHoverRadius: 8,
      pointHitRadius: 10,
      pointBorderWidth: 2,
      pointBorderColor: shown.map((file, index) => (file.passed ? series[index] : colour("bad"))),
      pointBackgroundColor: shown.map((file, index) => (file.passed ? series[index] : colour("page"))),
    };
  }

  front(state, colour) {
    const data = front(this.files, state).map((file) => this.point(file));
    return {
      label: "front",
      type: "line",
      data,
      stepped: "before",
      borderColor: colour,
      borderWidth: 3,
      pointRadius: 0,
      pointHitRadius: 0,
    };
  }

  ring({ chosen }, colour) {
    const data = chosen && chosen.costs[this.state.measure.key] !== undefined ? [this.point(chosen)] : [];
    return {
      label: "chosen",
      data,
      pointRadius: 11,
      pointHitRadius: 0,
      pointBorderWidth: 2.5,
      pointBorderColor: colour,
      pointBackgroundColor: "transparent",
    };
  }

  limit({ budget }, colour) {
    const { min, max } = this.chart.options.scales.y;
    const data =
      budget > 0
        ? [
            { x: budget, y: min },
            { x: budget, y: max },
          ]
        : [];
    return {
      label: "budget",
      type: "line",
      data,
      borderColor: colour,
      borderDash: [6, 4],
      borderWidth: 2,
      pointRadius: 0,
    };
  }

  scale(shown, colour) {
    const { measure } = this.state;
    const { x, y } = this.chart.options.scales;
    const costs = shown.map((file) => file.costs[measure.key]);
    const tops = shown.flatMap((file) => file.interval ?? [file.score]).map((end) => this.metric.factor * end);
    [x.min, x.max] = costs.length ? [Math.min(...costs) / 1.12, Math.max(...costs) * 1.12] : [1, 10];
    [y.min, y.max] = this.metric.shares ? perCents(tops) : around(tops);
    x.title.text = `${measure.label} (${measure.unit})`;
    x.ticks = {
      callback: (value) => Number((value / measure.scale).toPrecision(3)).toString(),
      maxRotation: 0,
      autoSkipPadding: 12,
    };
    y.ticks = { includeBounds: false };
    for (const axis of [x, y]) {
      axis.title.color = colour("text");
      axis.ticks = { ...axis.ticks, color: colour("muted") };
      axis.grid = { color: colour("hairline") };
    }
  }
}

// Leaves out the ends of a logarithmic axis, which Chart.js would label too.
function onlyRound(axis) {
  axis.ticks = axis.ticks.filter(({ value }) => Number(value.toPrecision(2)) === value);
}

// Whole per cents around all values.
function perCents(values) {
  const margin = 0.5;
  if (!values.length) return [0, 100];
  return [Math.max(0, Math.floor(Math.min(...values) - margin)), Math.min(100.5, Math.ceil(Math.max(...values) + margin))];
}

function around(values) {
  if (!values.length) return [0, 1];
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const margin = (most - least || Math.abs(most) || 1) / 10;
  return [least - margin, most + margin];
}

// A number that files are compared by, as people read it.
function scoreText(score, { factor, unit, shares }, digits = 2) {
  return shares ? `${(factor * score).toFixed(digits)}${unit}` : Number(score.toPrecision(4)).toString();
}

function percents(shares) {
  return shares.map((share) => (100 * share).toFixed(1)).join(" to ");
}

function inUnits(cost, measure) {
  return `${Number((cost / measure.scale).toPrecision(3))} ${measure.unit}`;
}
