"use strict";
// Accuracy against one cost, drawn by Chart.js.

const MARKS = ["circle", "rect", "triangle", "rectRot", "star", "cross", "crossRot"];

class Plot {
  constructor(canvas, files) {
    this.files = files;
    this.structures = [...new Set(files.map((file) => file.structure))];
    this.precisions = [...new Set(files.map((file) => file.precision))];
    this.chart = new Chart(canvas, { type: "scatter", data: { datasets: [] }, options: this.options() });
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
        y: { title: { display: true, text: "Top-1 accuracy (%)" } },
      },
    };
  }

  label({ raw }) {
    const { measure } = this.state;
    return raw.file
      ? [
          raw.file.path.split("/").pop(),
          `${raw.y.toFixed(2)} % top-1, ${inUnits(raw.file.costs[measure.key], measure)}`,
        ]
      : `budget: ${inUnits(raw.x, measure)}`;
  }

  // The state: measure, precision, budget in the cost's own units, and the chosen file, if there is one.
  draw(state) {
    this.state = state;
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    const shown = this.files.filter(
      (file) =>
        file.top1 !== null &&
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

  point(file) {
    return { x: file.costs[this.state.measure.key], y: 100 * file.top1, file };
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
    const [costs, tops] = [shown.map((file) => file.costs[measure.key]), shown.map((file) => 100 * file.top1)];
    const margin = Math.max(0.5, 0.08 * (Math.max(...tops) - Math.min(...tops)));
    [x.min, x.max] = costs.length ? [Math.min(...costs) / 1.12, Math.max(...costs) * 1.12] : [1, 10];
    [y.min, y.max] = costs.length
      ? [Math.max(0, Math.floor(Math.min(...tops) - margin)), Math.min(100.5, Math.ceil(Math.max(...tops) + margin))]
      : [0, 100];
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

function inUnits(cost, measure) {
  return `${Number((cost / measure.scale).toPrecision(3))} ${measure.unit}`;
}
